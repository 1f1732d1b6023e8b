//! The SDK's test kit with `HOOKYARD_TEST=process`: the tests of `within` are an author's, of the misbehaving plugin, and are
//! run here as a process of their own, because the switch is in the environment. They hold what differs from a bench in memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::yard::profile_dir;

/// Runs the tests of `within`, with this program as `hookyard`; whether they passed, and what was said.
fn within_a_process(program: &Path, tests: &str) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&format!("plugin_abi::testkit::within::{tests}"), "--ignored"])
        .env("HOOKYARD_TEST", "process")
        .env("HOOKYARD_BIN", program)
        .env_remove("HOOKYARD_LIBRARY")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

#[test]
fn a_bench_in_a_process_does_what_one_in_memory_does_and_more() {
    let (passed, said) = within_a_process(&profile_dir().join("hookyard"), "");
    assert!(passed && said.contains(" 9 passed"), "{said}");
    assert!(said.contains("plugin: with a newline"), "its warnings are seen: {said}");
}

#[test]
fn without_the_program_the_test_says_what_is_missing() {
    for (program, words) in [
        ("/nowhere/hookyard", "put it on the PATH, or name it in HOOKYARD_BIN"),
        ("true", "ended before it answered"),
    ] {
        let (passed, said) = within_a_process(Path::new(program), "the_event_arrives");
        assert!(!passed && said.contains(words), "{said}");
    }
}

#[test]
fn a_kit_of_another_release_is_told_to_be_of_the_same() {
    let make =
        r#"{"ask":{"number":1,"ask":{"make":{"version":1,"library":"x","settings":{},"secrets":{}}}}}"#;
    // As the first version began.
    let first = r#"{"number":1,"ask":{"keep":null}}"#;
    for line in [make, first] {
        let mut program = Command::new(profile_dir().join("hookyard"))
            .args(["plugin", "testkit"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(program.stdin.take().unwrap(), "{line}").unwrap();
        let output = program.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("use the same release of"), "{line}: {said}");
    }
}

mod within {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use hookyard_plugin::testkit::{Before, Bench, Said, TestEvent, event_id, is_in_process};
    use hookyard_test_misbehave::Misbehave;
    use serde_json::{Value, json};

    const SHORT: Duration = Duration::from_millis(50);

    fn bench() -> Bench {
        assert!(is_in_process(), "run by the tests above");
        Bench::new::<Misbehave>(&json!({}))
    }

    fn event(event_type: &str) -> TestEvent {
        TestEvent::new(event_type, b"{}")
    }

    #[test]
    #[ignore = "run by the tests above"]
    fn the_event_arrives_as_the_test_wrote_it() {
        let headers = vec![("x-test".to_owned(), "täst".to_owned())];
        let sent = TestEvent {
            id: event_id("sent"),
            source: "shop".to_owned(),
            rule: "a rule".to_owned(),
            attempt: 3,
            received_unix_ms: 7,
            content_type: "text/plain".to_owned(),
            headers,
            ..TestEvent::new("echo", "\"täst\"".as_bytes())
        };
        let expected = json!({
            "id": event_id("sent"), "source": "shop", "rule": "a rule", "attempt": 3, "received": 7,
            "content_type": "text/plain", "header": "täst", "body": "täst",
        });
        assert_eq!(bench().deliver(&sent).result, Some(expected));
    }

    #[test]
    #[ignore = "run by the tests above"]
    fn a_deadline_is_real() {
        let bench = bench();
        let polite = bench.deliver(&TestEvent { remaining: SHORT, ..event("hang.politely") });
        assert_eq!((polite.outcome, &*polite.code), (Said::Retry(None), "no_time"));
        let hung = bench.deliver(&TestEvent { remaining: SHORT, ..event("hang") });
        assert_eq!(hung.outcome, Said::TimedOut);
        assert_eq!(bench.deliver(&event("well")).outcome, Said::Done, "by a new process");
    }

    #[test]
    #[ignore = "run by the tests above"]
    fn a_death_and_a_panic_are_told_and_cost_the_attempt_alone() {
        let bench = bench();
        let died = bench.deliver(&event("segfault"));
        assert_eq!(died.outcome, Said::Crashed);
        assert!(died.message.contains("SIGSEGV"), "{}", died.message);
        let panicked = bench.deliver(&event("panic"));
        assert_eq!(panicked.outcome, Said::Panicked);
        assert!(panicked.message.contains("made to panic"), "{}", panicked.message);
        assert_eq!(bench.deliver(&event("well")).outcome, Said::Done);
    }

    #[test]
    #[ignore = "run by the tests above"]
    fn steps_outlive_the_process_and_can_be_left_unsure() {
        let bench = bench();
        let crashed = bench.deliver(&event("step.crash_inside"));
        assert_eq!((crashed.outcome, crashed.steps[0].ended), (Said::Crashed, false));
        for (before, word) in [(Before::Unsure, "unsure"), (Before::Done, "done")] {
            let again = bench.deliver(&TestEvent { attempt: 2, ..event("step") });
            let step = &again.steps[0];
            assert_eq!((again.outcome, &*again.message, step.before), (Said::Done, word, before));
            assert_eq!((step.ended, &again.result), (true, &Some(step.key.clone().into())));
            assert_eq!(step.key, crashed.steps[0].key);
        }
        bench.make_unsure(&event("step").id, "charge");
        assert_eq!(bench.deliver(&event("step")).message, "unsure");
    }

    #[test]
    #[ignore = "run by the tests above"]
    fn pairs_can_be_looked_at() {
        let bench = bench();
        assert_eq!(bench.kv("balance"), None);
        assert_eq!(bench.deliver(&event("kv")).outcome, Said::Done);
        assert_eq!(bench.kv("balance"), Some((b"30".to_vec(), 2)));
    }

    #[test]
    #[ignore = "run by the tests above"]
    fn the_process_is_killed_at_every_moment() {
        let bench = bench();
        let mut seen = Vec::new();
        let crashes = bench.crash_at_every_call(&event("step"), |again| {
            assert_eq!((again.outcome, again.steps[0].ended), (Said::Done, true));
            seen.push(again.message.clone());
        });
        assert_eq!(crashes, 5, "before and after step_begin and step_end, and when nobody heard of the end");
        assert_eq!(seen, ["run", "unsure", "unsure", "done", "done", "done"]);
        let asks_nothing = bench.crash_at_every_call(&event("well"), |again| {
            assert_eq!(again.result, Some(json!({ "attempt": 2 })));
        });
        assert_eq!(asks_nothing, 1);
    }

    #[test]
    #[ignore = "run by the tests above"]
    fn what_a_process_cannot_do_is_said() {
        let bench = bench();
        let refused = |event: TestEvent| {
            let panic = catch_unwind(AssertUnwindSafe(|| bench.deliver(&event))).unwrap_err();
            panic.downcast_ref::<String>().unwrap().clone()
        };
        let id = refused(TestEvent { id: "another".to_owned(), ..event("well") });
        assert!(id.contains("`another` is not an event id") && id.contains("testkit::event_id"), "{id}");
        let time = refused(TestEvent { remaining: Duration::ZERO, ..event("well") });
        assert!(time.contains("an attempt without any time is never made"), "{time}");
    }

    #[test]
    #[ignore = "run by the tests above"]
    fn settings_and_secrets_are_the_plugins_own_matter() {
        let made = |settings: Value, secrets: &[_]| Bench::try_new::<Misbehave>(&settings, secrets);
        let refused = |settings| made(settings, &[]).unwrap_err();
        assert_eq!(refused(json!({ "create": "check_refuses" })), "the check refuses, as it was told");
        assert!(refused(json!({ "creat": "well" })).contains("unknown field `creat`"));
        assert!(refused(json!({ "secret": "token" })).contains("the handler has no secret `token`"));
        let bench = made(json!({ "secret": "token" }), &[("token", "s3cret")]).unwrap();
        assert_eq!(bench.deliver(&event("secret")).message, "s3cret");
    }

    #[test]
    #[ignore = "run by the tests above"]
    fn the_log_is_what_hookyard_keeps() {
        let logged = bench().deliver(&event("log"));
        assert_eq!(logged.log.len(), 20);
        assert_eq!(logged.log[0], "line number=81");
    }
}
