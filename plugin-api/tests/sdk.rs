//! The SDK from both sides: through the test kit, as an author's tests do, and through its raw descriptor with a host
//! that is older, poorer or wrong.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hookyard_plugin::abi::{self, Bytes};
use hookyard_plugin::testkit::{Before, Bench, Said, TestEvent};
use hookyard_plugin::{CreateError, Cx, Event, Expect, Failure, Handler, Host, KvPut, Level, Outcome};
use serde::Deserialize;

#[derive(Deserialize)]
struct Settings {
    limit: u32,
    secret: Option<String>,
}

struct Example;

#[derive(Deserialize)]
struct Body {
    #[expect(dead_code, reason = "only read")]
    amount: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] Inner);

#[derive(Debug, thiserror::Error)]
#[error("inner")]
struct Inner;

impl Handler for Example {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), CreateError> {
        if settings.limit > 10 { Err(CreateError::new("`limit` is above 10")) } else { Ok(()) }
    }

    fn create(settings: Settings, host: &Host<'_>) -> Result<Self, CreateError> {
        if let Some(name) = settings.secret {
            host.log(Level::Info, "has a secret", &[("length", &host.secret(&name)?.len().to_string())]);
        }
        if settings.limit == 7 {
            return Err(Outer(Inner).into());
        }
        Ok(Self)
    }

    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        match event.event_type() {
            "json" => event.json::<Body>().map(|_| Outcome::done()),
            "error" => Err(Outer(Inner))?,
            "after" => Err(Failure::retry("later", "not now").after(Duration::ZERO)),
            "panic" => panic!("at the {}", "disco"),
            "steps" => {
                let one: u32 = cx.step("one", |_| Ok(1))?;
                let two: u32 = cx.step("two", |_| {
                    if event.attempt() == 1 { Err(Failure::retry("x", "")) } else { Ok(one + 1) }
                })?;
                Ok(Outcome::done().with_result(two.into()))
            }
            "steps.changed" => cx.step("one", |_| Ok("a text".to_owned())).map(|_| Outcome::done()),
            "steps.large" => cx.step("large", |_| Ok("x".repeat(5000))).map(|_| Outcome::done()),
            "header" => Ok(Outcome::ignore("h", event.header("X-Test").unwrap_or("none"))),
            "kv" => {
                let put = cx.kv_put("k", "v", Expect::Absent)?;
                Ok(Outcome::done().with_message(if put == KvPut::Written { "written" } else { "conflict" }))
            }
            _ => Ok(Outcome::ignore("unknown", "not mine")),
        }
    }
}

fn bench() -> Bench {
    Bench::new::<Example>(&serde_json::json!({ "limit": 1 }))
}

#[test]
fn a_finished_step_is_not_done_again_and_a_failed_one_is_unsure() {
    let bench = bench();
    let mut event = TestEvent::new("steps", b"");
    let first = bench.deliver(&event);
    assert_eq!(first.outcome, Said::Retry(None));
    assert_eq!(
        first.steps.iter().map(|s| (s.before, s.ended)).collect::<Vec<_>>(),
        [(Before::Run, true), (Before::Run, false)]
    );
    event.attempt = 2;
    let second = bench.deliver(&event);
    assert_eq!((second.outcome, second.result), (Said::Done, Some(2.into())));
    assert_eq!(second.steps.iter().map(|s| s.before).collect::<Vec<_>>(), [Before::Done, Before::Unsure]);
    assert_eq!(second.steps[1].key, first.steps[1].key);
}

#[test]
fn a_memo_that_no_longer_fits_is_a_failure_and_not_a_second_run() {
    let bench = bench();
    let done = bench.deliver(&TestEvent { attempt: 2, ..TestEvent::new("steps", b"") });
    assert_eq!(done.outcome, Said::Done);
    let changed = bench.deliver(&TestEvent::new("steps.changed", b""));
    assert_eq!((changed.outcome, &*changed.code), (Said::Retry(None), "step_memo"));
}

#[test]
fn a_step_that_remembers_too_much_is_told_so() {
    let delivered = bench().deliver(&TestEvent::new("steps.large", b""));
    assert_eq!(delivered.outcome, Said::Retry(None));
    assert_eq!(delivered.message, "hookyard could not record the step `large`: it is too large");
}

#[test]
fn no_step_begins_when_no_time_is_left() {
    let late = TestEvent { remaining: Duration::ZERO, ..TestEvent::new("steps", b"") };
    let delivered = bench().deliver(&late);
    assert_eq!((delivered.outcome, &*delivered.code), (Said::Retry(None), "cancelled"));
    assert!(delivered.steps.is_empty());
}

#[test]
fn a_body_that_cannot_be_read_is_rejected_without_a_word_of_it() {
    let bench = bench();
    for (body, words) in [
        (
            &br#"{"amount":"marta@buyer.example"}"#[..],
            "a value is not of the kind expected (line 1, column 31)",
        ),
        (br#"{"email":"marta@buyer.example"}"#, "the field `amount` is missing"),
        (b"marta@buyer.example", "it is not JSON (line 1, column 1)"),
        (br#"{"amount":"#, "it ends too early"),
    ] {
        let delivered = bench.deliver(&TestEvent::new("json", body));
        assert_eq!((delivered.outcome, &*delivered.code), (Said::Reject, "invalid_json"));
        assert!(delivered.message.contains(words), "{}", delivered.message);
        assert!(!delivered.message.contains("marta"), "{}", delivered.message);
    }
}

#[test]
fn errors_and_panics_are_retries_with_their_words() {
    let bench = bench();
    let error = bench.deliver(&TestEvent::new("error", b""));
    assert_eq!((error.outcome, &*error.code, &*error.message), (Said::Retry(None), "error", "outer: inner"));
    let after = bench.deliver(&TestEvent::new("after", b""));
    assert_eq!(after.outcome, Said::Retry(Some(Duration::from_millis(1))), "0 would mean the schedule");
    let panic = bench.deliver(&TestEvent::new("panic", b""));
    assert_eq!((panic.outcome, &*panic.code), (Said::Panicked, "panic"));
    assert!(panic.message.starts_with("the plugin panicked: at the disco (at "), "{}", panic.message);
    assert!(panic.log[0].starts_with("ERROR the plugin panicked panic=at the disco"), "{:?}", panic.log);
}

#[test]
fn an_effect_outside_of_a_step_is_found_twice_by_some_crash() {
    static EFFECTS: AtomicU32 = AtomicU32::new(0);
    struct Careless;
    impl Handler for Careless {
        type Settings = serde_json::Value;
        fn create(_: serde_json::Value, _: &Host<'_>) -> Result<Self, CreateError> {
            Ok(Self)
        }
        fn handle(&self, _: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
            EFFECTS.fetch_add(1, Ordering::SeqCst);
            cx.step("note", |_| Ok(()))?;
            Ok(Outcome::done())
        }
    }
    let bench = Bench::new::<Careless>(&serde_json::Value::Null);
    let mut seen = Vec::new();
    let crashes = bench.crash_at_every_call(&TestEvent::default(), |again| {
        assert_eq!(again.outcome, Said::Done);
        seen.push(EFFECTS.swap(0, Ordering::SeqCst));
    });
    assert_eq!(crashes, 8, "step_begin, step_key, step_end and explain, before and after");
    assert!(seen.iter().all(|effects| *effects == 2), "{seen:?}");
    let cut = bench.deliver_crashing(&TestEvent { id: "another".to_owned(), ..TestEvent::default() }, 1);
    assert_eq!((cut.outcome, cut.steps.len(), cut.steps[0].ended), (Said::Crashed, 1, false));
}

#[test]
fn headers_are_found_in_any_case_and_pairs_have_versions() {
    let bench = bench();
    let headers = vec![("x-test".to_owned(), "first".to_owned()), ("x-test".to_owned(), "second".to_owned())];
    let delivered = bench.deliver(&TestEvent { headers, ..TestEvent::new("header", b"") });
    assert_eq!((delivered.outcome, &*delivered.message), (Said::Ignore, "first"));
    assert_eq!(bench.deliver(&TestEvent::new("kv", b"")).message, "written");
    assert_eq!(bench.deliver(&TestEvent::new("kv", b"")).message, "conflict");
    assert_eq!(bench.kv("k"), Some((b"v".to_vec(), 1)));
}

#[test]
fn settings_are_refused_in_words() {
    let refused = |settings, secrets: &[_]| Bench::try_new::<Example>(&settings, secrets).unwrap_err();
    assert!(
        refused(serde_json::json!({ "limit": "x" }), &[]).starts_with("the settings are wrong: invalid type")
    );
    assert_eq!(refused(serde_json::json!({ "limit": 11 }), &[]), "`limit` is above 10");
    assert_eq!(refused(serde_json::json!({ "limit": 7 }), &[]), "outer: inner");
    let missing = refused(serde_json::json!({ "limit": 1, "secret": "a" }), &[("b", "x")]);
    assert!(missing.contains("the handler has no secret `a`"), "{missing}");
    let bench = Bench::try_new::<Example>(&serde_json::json!({ "limit": 1, "secret": "a" }), &[("a", "xyz")])
        .unwrap();
    assert_eq!(bench.log(), ["INFO has a secret length=3"]);
}

/// Creates an instance with this host table; `Err` with the status and the sentence.
fn create(host: Option<&abi::Host>) -> Result<*mut c_void, (abi::Status, String)> {
    let plugin = hookyard_plugin::ffi::descriptor::<Example>("id", "1", "");
    let mut err = [0 as c_char; 256];
    let mut instance = std::ptr::null_mut();
    let host = host.map_or(std::ptr::null(), std::ptr::from_ref);
    let settings = Bytes::of_static("{\"limit\":1}");
    // SAFETY: the SDK's own function; every pointer outlives the call.
    let status = unsafe {
        plugin.create.unwrap()(
            host,
            std::ptr::null_mut(),
            settings,
            &raw mut instance,
            err.as_mut_ptr(),
            err.len(),
        )
    };
    if status == abi::OK {
        return Ok(instance);
    }
    // SAFETY: the SDK ends it with a NUL.
    Err((status, unsafe { CStr::from_ptr(err.as_ptr()) }.to_str().unwrap().to_owned()))
}

/// A table that offers nothing.
fn empty(size: usize) -> abi::Host {
    abi::Host {
        size: u32::try_from(size).unwrap(),
        abi_major: 1,
        abi_minor: 0,
        log_enabled: None,
        log: None,
        metric: None,
        remaining_ms: None,
        explain: None,
        step_begin: None,
        step_end: None,
        step_key: None,
        kv_get: None,
        kv_put: None,
        secret: None,
        extension: None,
    }
}

#[test]
fn a_host_table_that_is_cut_is_refused_at_every_length() {
    for size in 8..size_of::<abi::Host>() {
        let (status, said) = create(Some(&empty(size))).unwrap_err();
        assert_eq!(status, abi::E_UNSUPPORTED);
        assert!(said.contains(&format!("is {size} bytes and this plugin needs 104")), "{said}");
    }
    assert_eq!(create(None).unwrap_err().1, "hookyard passed no table of host functions");
    let other = abi::Host { abi_major: 2, ..empty(104) };
    assert!(create(Some(&other)).unwrap_err().1.contains("speaks ABI 2.0 and this plugin 1.0"));
}

#[test]
fn a_cut_table_reads_as_not_offered_and_never_past_its_end() {
    unsafe extern "C" fn remaining(_: *mut abi::Call) -> u64 {
        1
    }
    let whole = abi::Host { remaining_ms: Some(remaining), ..empty(104) };
    // A longer lie in memory: only `size` bytes of it may be looked at.
    for (size, there) in [(40, true), (39, false), (32, false), (8, false), (0, false), (200, true)] {
        let cut = abi::Host { size, ..whole };
        // SAFETY: a whole table is readable, whatever its size says, up to 104.
        let read = unsafe { abi::read(&raw const cut) }.unwrap();
        assert_eq!(read.remaining_ms.is_some(), there, "{size}");
        assert_eq!(read.size, size);
    }
}

#[test]
fn a_host_that_offers_nothing_is_worked_with_as_far_as_it_goes() {
    let instance = create(Some(&empty(104))).unwrap();
    let plugin = hookyard_plugin::ffi::descriptor::<Example>("id", "1", "");
    let handle = |topic: &'static str| {
        let event = abi::Event {
            size: abi::size_of_u32::<abi::Event>(),
            attempt: 1,
            received_unix_ms: 0,
            event_id: Bytes::EMPTY,
            source: Bytes::EMPTY,
            topic: Bytes::of_static(topic),
            rule: Bytes::EMPTY,
            content_type: Bytes::EMPTY,
            body: Bytes::EMPTY,
            headers: std::ptr::null(),
            header_count: 0,
        };
        // SAFETY: the instance is alive, and the event outlives the call.
        unsafe { plugin.handle.unwrap()(instance, std::ptr::null_mut(), &raw const event) }
    };
    assert_eq!(handle("other"), abi::IGNORE);
    assert_eq!(handle("steps"), abi::RETRY, "a step that cannot be recorded is not done");
    assert_eq!(handle("panic"), abi::E_PANIC);
    // SAFETY: the instance is alive, and nothing uses it after this.
    unsafe { plugin.destroy.unwrap()(instance) };
}

#[test]
fn an_event_that_breaks_the_contract_is_no_outcome() {
    static NOT_UTF8: [u8; 1] = [0xff];
    let instance = create(Some(&empty(104))).unwrap();
    let plugin = hookyard_plugin::ffi::descriptor::<Example>("id", "1", "");
    let event = abi::Event {
        size: abi::size_of_u32::<abi::Event>(),
        attempt: 1,
        received_unix_ms: 0,
        event_id: Bytes::of(&NOT_UTF8),
        source: Bytes::EMPTY,
        topic: Bytes::EMPTY,
        rule: Bytes::EMPTY,
        content_type: Bytes::EMPTY,
        body: Bytes::EMPTY,
        headers: std::ptr::null(),
        header_count: 0,
    };
    let no_headers = abi::Event { event_id: Bytes::EMPTY, header_count: 3, ..event };
    let no_body =
        abi::Event { event_id: Bytes::EMPTY, body: Bytes { ptr: std::ptr::null(), len: 5 }, ..event };
    for event in [&raw const event, &raw const no_headers, &raw const no_body, std::ptr::null()] {
        // SAFETY: the instance is alive; the SDK checks the event before it follows a pointer.
        let outcome = unsafe { plugin.handle.unwrap()(instance, std::ptr::null_mut(), event) };
        assert_eq!(outcome, abi::E_INVALID);
    }
    // SAFETY: the instance is alive, and nothing uses it after this.
    unsafe { plugin.destroy.unwrap()(instance) };
}
