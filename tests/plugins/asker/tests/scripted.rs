//! An author's tests of a plugin that asks over HTTP, answered by the test's script: in memory, and once more with
//! `HOOKYARD_TEST=process`, where what the plugin asks crosses two processes and comes back to the script.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hookyard_plugin::http::ErrorKind;
use hookyard_plugin::testkit::{
    Answer, Asked, Before, Bench, Delivered, Said, TestEvent, event_id, is_in_process,
};
use hookyard_test_asker::Asker;
use serde_json::{Value, json};

const CHARGES: &str = "https://api.example.com/v1/charges";
const MIB: usize = 1024 * 1024;

fn bench() -> Bench {
    Bench::new::<Asker>(&json!({}))
}

fn asking(asked: &Value) -> TestEvent {
    TestEvent::new("ask", asked.to_string().as_bytes())
}

fn charge() -> Value {
    json!({ "method": "POST", "url": CHARGES, "body_bytes": 2 })
}

fn failed(delivered: Delivered) -> (String, String) {
    assert_eq!(delivered.outcome, Said::Retry(None), "{}", delivered.message);
    (delivered.code, delivered.message)
}

/// With the program that `cargo build --workspace` left.
#[test]
fn the_same_tests_pass_in_a_process() {
    if is_in_process() {
        return;
    }
    let tests = std::env::current_exe().unwrap();
    let program = tests.with_file_name("../hookyard");
    let output = Command::new(tests)
        .arg("--include-ignored")
        .env("HOOKYARD_TEST", "process")
        .env("HOOKYARD_BIN", program)
        .env_remove("HOOKYARD_LIBRARY")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(" 14 passed"), "{said}");
}

#[test]
fn a_request_arrives_as_it_was_written_and_the_answer_comes_back_whole() {
    let (bench, url) = (bench(), "https://API.example.com/v1/../v2?a=b#c");
    let answer = Answer::status(302).header("X-Far", "side").header("location", "/").body("moved");
    bench.far_side().answer("PATCH", url, answer);
    let headers = [("X-Two", "1"), ("x-two", "zwei ü")].map(|(key, val)| (key.to_owned(), val.to_owned()));
    let asked = json!({ "method": "PATCH", "url": url, "headers": headers, "body_bytes": 3 });
    let delivered = bench.deliver(&asking(&asked));
    let expected = json!({ "status": 302, "bytes": 5, "start": "moved", "x-far": "side", "location": "/" });
    assert_eq!(delivered.result, Some(expected), "{}", delivered.message);
    let expected = Asked {
        method: "PATCH".to_owned(),
        url: url.to_owned(),
        headers: headers.to_vec(),
        body: b"xxx".to_vec(),
    };
    assert_eq!(bench.far_side().take_asked(), [expected]);
    assert!(bench.far_side().asked().is_empty(), "they were taken");
}

#[test]
fn a_script_answers_by_turns_and_a_later_one_takes_its_place() {
    let bench = bench();
    let mut turn = 0;
    bench.far_side().answer_by("POST", CHARGES, move |asked| {
        turn += 1;
        Answer::status(200 + turn).body(vec![b'y'; asked.body.len()])
    });
    let thrice = json!({ "method": "POST", "url": CHARGES, "times": 3, "body_bytes": 2 });
    assert_eq!(bench.deliver(&asking(&thrice)).result.unwrap()["status"], 203);
    bench.far_side().answer("POST", CHARGES, Answer::status(500));
    let last = bench.deliver(&asking(&charge())).result.unwrap();
    assert_eq!((&last["status"], &last["bytes"]), (&json!(500), &json!(0)));
    assert_eq!(bench.far_side().asked().len(), 4);
}

#[test]
fn what_has_no_script_is_refused_with_what_to_do_and_has_not_come() {
    let bench = bench();
    bench.far_side().answer("POST", &format!("{CHARGES}?expand=all"), Answer::status(200));
    bench.far_side().answer("GET", CHARGES, Answer::status(200));
    let (code, message) = failed(bench.deliver(&asking(&charge())));
    let words = format!("the bench's far side has no answer to POST {CHARGES}: script one with `answer`");
    assert_eq!((&*code, message), ("http_refused", words));
    assert!(bench.far_side().asked().is_empty());
}

#[test]
fn each_kind_of_failure_has_its_code_and_its_request_came_where_it_may_have() {
    let bench = bench();
    for (kind, word) in [
        (ErrorKind::Refused, "refused"),
        (ErrorKind::Resolve, "resolve"),
        (ErrorKind::Connect, "connect"),
        (ErrorKind::Tls, "tls"),
        (ErrorKind::Busy, "busy"),
        (ErrorKind::Invalid, "invalid"),
        (ErrorKind::TooLarge, "too_large"),
        (ErrorKind::Timeout, "timeout"),
        (ErrorKind::Broken, "broken"),
        (ErrorKind::AnswerTooLarge, "answer_too_large"),
        (ErrorKind::Cancelled, "cancelled"),
        (ErrorKind::Host, "host"),
    ] {
        bench.far_side().answer("POST", CHARGES, Answer::fails(kind));
        let told = failed(bench.deliver(&asking(&charge())));
        assert_eq!(told, (format!("http_{word}"), format!("the bench plays: {word}")));
        assert_eq!(bench.far_side().take_asked().len(), usize::from(kind.may_have_arrived()), "{word}");
    }
}

#[test]
fn whenever_a_charge_crashes_it_is_made_under_one_key() {
    let bench = bench();
    // A far side that knows a key which it has seen, as payment providers do.
    let mut seen = BTreeSet::new();
    bench.far_side().answer_by("POST", CHARGES, move |asked| {
        seen.insert(asked.header("idempotency-key").unwrap().to_owned());
        Answer::status(200).body(format!("ch_{}", seen.len()))
    });
    let mut rounds = Vec::new();
    let event = asking(&json!({ "method": "POST", "url": CHARGES, "step": "charge" }));
    let crashes = bench.crash_at_every_call(&event, |again| {
        assert_eq!(again.outcome, Said::Done, "{}", again.message);
        assert_eq!(again.result.as_ref().unwrap()["start"], "ch_1");
        rounds.push((again.steps[0].before, bench.far_side().take_asked().len()));
    });
    // Before and after the step's begin, the request and the step's end, when nobody heard of it, and uncut: what the first
    // attempt asked is no matter of the second's, and what was answered before the crash has come.
    let in_process = [
        (Before::Run, 1),
        (Before::Unsure, 1),
        (Before::Unsure, 1),
        (Before::Unsure, 2),
        (Before::Unsure, 2),
        (Before::Done, 1),
        (Before::Done, 1),
        (Before::Done, 1),
    ];
    if is_in_process() {
        assert_eq!((crashes, &rounds[..]), (7, &in_process[..]));
    } else {
        let mut told = in_process.to_vec();
        told.dedup();
        rounds.dedup();
        assert_eq!((crashes, rounds), (10, told), "step_key and explain are host calls too");
    }
}

#[test]
fn a_script_that_asserts_fails_the_delivery_with_its_words_and_the_next_goes_on() {
    let bench = bench();
    bench.far_side().answer_by("POST", CHARGES, |asked| {
        assert!(asked.header("idempotency-key").is_some(), "no key was sent");
        Answer::status(200)
    });
    let deliver = |asked: Value| bench.deliver(&asking(&asked)).result;
    let panic = catch_unwind(AssertUnwindSafe(|| deliver(charge()))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"no key was sent"));
    assert_eq!(bench.far_side().take_asked().len(), 1, "it came");
    let headers = json!([["Idempotency-Key", "k1"]]);
    let keyed = json!({ "method": "POST", "url": CHARGES, "headers": headers });
    assert_eq!(deliver(keyed).unwrap()["status"], 200);
}

#[test]
fn limits_are_those_of_production() {
    let bench = bench();
    let largest = || Answer::status(200).body(vec![b'y'; 4 * MIB]);
    let asked = |bytes: usize| json!({ "method": "POST", "url": CHARGES, "body_bytes": bytes });
    bench.far_side().answer("POST", CHARGES, largest());
    let delivered = bench.deliver(&asking(&asked(MIB)));
    assert_eq!(delivered.result.unwrap()["bytes"], 4 * MIB);
    assert_eq!(bench.far_side().take_asked()[0].body.len(), MIB);

    assert_eq!(failed(bench.deliver(&asking(&asked(MIB + 1)))).0, "http_too_large");
    let headers = vec![("x-many", "1"); 101];
    let many = json!({ "method": "POST", "url": CHARGES, "headers": headers });
    let long = json!({ "method": "POST", "url": format!("{CHARGES}?{}", "x".repeat(8 * 1024)) });
    for asked in [many, long] {
        assert_eq!(failed(bench.deliver(&asking(&asked))).0, "http_too_large");
    }
    assert!(bench.far_side().asked().is_empty());

    for above in [largest().body(vec![b'y'; 4 * MIB + 1]), largest().header("x", &"y".repeat(64 * 1024))] {
        bench.far_side().answer("POST", CHARGES, above);
        let (code, message) = failed(bench.deliver(&asking(&charge())));
        assert!(
            code == "http_answer_too_large" && message.starts_with("the bench's answer has "),
            "{message}"
        );
        assert_eq!(bench.far_side().take_asked().len(), 1, "it may have been done");
    }
}

#[test]
fn requests_of_several_threads_and_deliveries_are_each_answered() {
    let bench = bench();
    bench.far_side().answer_by("POST", CHARGES, |asked| {
        Answer::status(200).body(asked.header("x-of").unwrap_or_default().to_owned())
    });
    let at_once = json!({ "method": "POST", "url": CHARGES, "at_once": 16 });
    assert_eq!(bench.deliver(&asking(&at_once)).result.unwrap()["200"], 16);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let bench = &bench;
            scope.spawn(move || {
                let of = format!("delivery {number}");
                let asked = json!({ "method": "POST", "url": CHARGES, "headers": [["X-Of", of]] });
                let event = TestEvent { id: event_id(&of), ..asking(&asked) };
                assert_eq!(bench.deliver(&event).result.unwrap()["start"], of);
            });
        }
    });
    assert_eq!(bench.far_side().asked().len(), 20);
}

#[test]
fn a_script_may_look_at_the_bench_meanwhile() {
    let bench = Arc::new(bench());
    let there: Weak<Bench> = Arc::downgrade(&bench);
    bench.far_side().answer_by("POST", CHARGES, move |_| {
        let none = there.upgrade().unwrap().kv("balance").is_none();
        Answer::status(if none { 200 } else { 500 })
    });
    assert_eq!(bench.deliver(&asking(&charge())).result.unwrap()["status"], 200);
}

#[test]
#[ignore = "in a process alone: run by the first test"]
fn what_breaks_the_contract_is_refused_by_hookyard_and_never_comes() {
    let bench = bench();
    let url = "https://user@api.example.com/v1";
    bench.far_side().answer("POST", url, Answer::status(200));
    bench.far_side().answer("TRACE", CHARGES, Answer::status(200));
    bench.far_side().answer("POST", CHARGES, Answer::status(200));
    for (asked, words) in [
        (json!({ "method": "POST", "url": url }), "the URL holds credentials"),
        (json!({ "method": "TRACE", "url": CHARGES }), "the method cannot be sent"),
        (
            json!({ "method": "POST", "url": CHARGES, "headers": [["Host", "other.example"]] }),
            "the header `host` is written by hookyard itself",
        ),
    ] {
        let (code, message) = failed(bench.deliver(&asking(&asked)));
        assert!(code == "http_invalid" && message.contains(words), "{message}");
    }
    assert!(bench.far_side().asked().is_empty());
}

#[test]
#[ignore = "in a process alone: run by the first test"]
fn a_request_ends_at_its_own_time_and_at_the_attempts_while_the_script_still_thinks() {
    let bench = bench();
    let (go, told) = channel();
    bench.far_side().answer_by("POST", CHARGES, move |_| {
        told.recv().unwrap();
        Answer::status(200)
    });
    let hasty = json!({ "method": "POST", "url": CHARGES, "timeout_ms": 50 });
    let (code, message) = failed(bench.deliver(&asking(&hasty)));
    assert_eq!((&*code, &*message), ("http_timeout", "api.example.com did not answer within 50ms"));
    let short = TestEvent { remaining: Duration::from_millis(500), ..asking(&charge()) };
    let (code, message) = failed(bench.deliver(&short));
    assert_eq!((&*code, &*message), ("http_cancelled", "the attempt's time is over"));
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    assert_eq!(bench.deliver(&asking(&charge())).result.unwrap()["status"], 200, "the late went nowhere");
    assert_eq!(bench.far_side().asked().len(), 3, "they may have arrived");
}

#[test]
#[ignore = "in a process alone: run by the first test"]
fn a_test_ends_although_its_script_still_thinks() {
    let bench = bench();
    let (go, told) = channel::<()>();
    bench.far_side().answer_by("POST", CHARGES, move |_| {
        // Until the test is over.
        assert!(told.recv().is_err());
        Answer::status(200)
    });
    let hasty = json!({ "method": "POST", "url": CHARGES, "timeout_ms": 50 });
    assert_eq!(failed(bench.deliver(&asking(&hasty))).0, "http_timeout");
    drop(bench);
    drop(go);
}

#[test]
#[ignore = "in a process alone: run by the first test"]
fn a_plugin_that_dies_with_a_request_under_way_is_told_and_its_request_came() {
    let bench = bench();
    let (go, told) = channel::<()>();
    bench.far_side().answer_by("POST", CHARGES, move |_| {
        assert!(told.recv().is_err());
        Answer::status(200)
    });
    let dying = json!({ "method": "POST", "url": CHARGES, "dies_after_ms": 300 });
    let died = bench.deliver(&asking(&dying));
    assert_eq!(died.outcome, Said::Crashed);
    assert!(died.message.contains("SIGABRT"), "{}", died.message);
    drop(go);
    assert_eq!(bench.deliver(&asking(&charge())).result.unwrap()["status"], 200, "by a new process");
    assert_eq!(bench.far_side().asked().len(), 2);
}
