//! HTTP through the SDK: against the test kit's far side, as an author's tests do, and against tables of the extension that
//! are absent, shorter or wrong.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::time::Duration;

use hookyard_plugin::abi::{self, Bytes, http as raw};
use hookyard_plugin::http::ErrorKind;
use hookyard_plugin::testkit::{Answer, Asked, Before, Bench, Said, TestEvent};
use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
use serde_json::{Value, json};

const CHARGES: &str = "https://api.example.com/v1/charges?expand=all";

struct Charger;

impl Handler for Charger {
    type Settings = Value;

    fn create(_: Value, _: &Host<'_>) -> Result<Self, CreateError> {
        Ok(Self)
    }

    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        match event.event_type() {
            "charge" => {
                let id: String = cx.step("charge", |step| {
                    let answer = cx
                        .http()?
                        .post(CHARGES)
                        .header("Idempotency-Key", step.key())
                        .json(&json!({ "amount": 900 }))?
                        .timeout(Duration::from_secs(2))
                        .send()?;
                    let charge: Value = answer.expect_success()?.json()?;
                    Ok(charge["id"].as_str().unwrap_or_default().to_owned())
                })?;
                Ok(Outcome::done().with_message(id))
            }
            "look" => {
                let answer = cx.http()?.get("https://api.example.com/").send()?;
                let headers: Vec<String> =
                    answer.headers().map(|(name, value)| format!("{name}={value}")).collect();
                let text = String::from_utf8_lossy(answer.body()).into_owned();
                let shown = json!({
                    "status": answer.status(), "headers": headers, "text": text, "one": answer.header("X-One"),
                });
                Ok(Outcome::done().with_result(shown))
            }
            "body" => {
                cx.http()?.post(CHARGES).body(event.body()).send()?;
                Ok(Outcome::done())
            }
            _ => match cx.http()?.delete("https://user@api.example.com/v1?secret").send() {
                Ok(_) => Ok(Outcome::done()),
                Err(error) => {
                    let arrived = error.may_have_arrived();
                    Err(Failure::reject(error.kind().word(), format!("{error} {arrived}")))
                }
            },
        }
    }
}

fn bench() -> Bench {
    Bench::new::<Charger>(&json!({}))
}

fn event(event_type: &str) -> TestEvent {
    TestEvent::new(event_type, b"{}")
}

#[test]
fn a_request_goes_out_as_it_was_written_and_the_answer_comes_back_whole() {
    let bench = bench();
    bench.far_side().answer("POST", CHARGES, Answer::json(201, &json!({ "id": "ch_1" })));
    assert_eq!(bench.deliver(&event("charge")).message, "ch_1");
    let [asked] = &bench.far_side().take_asked()[..] else { panic!("one request") };
    let Asked { method, url, .. } = asked;
    assert_eq!((method.as_str(), url.as_str()), ("POST", CHARGES));
    assert_eq!(
        (asked.header("content-type"), asked.json()),
        (Some("application/json"), json!({ "amount": 900 }))
    );
    assert!(bench.far_side().asked().is_empty(), "they were taken");

    let answer = Answer::status(302).header("X-One", "1").header("x-one", "2").body("moved");
    bench.far_side().answer("GET", "https://api.example.com/", answer);
    let shown = bench.deliver(&event("look")).result.unwrap();
    let expected = json!({ "status": 302, "headers": ["x-one=1", "x-one=2"], "text": "moved", "one": "1" });
    assert_eq!(shown, expected, "every status is an answer");
}

#[test]
fn whenever_a_charge_crashes_it_is_made_under_one_key() {
    let bench = bench();
    // A far side that knows a key which it has seen, as payment providers do.
    let mut seen = BTreeSet::new();
    bench.far_side().answer_by("POST", CHARGES, move |asked| {
        seen.insert(asked.header("idempotency-key").unwrap().to_owned());
        Answer::json(200, &json!({ "id": format!("ch_{}", seen.len()) }))
    });
    let crashes = bench.crash_at_every_call(&event("charge"), |again| {
        assert_eq!((again.outcome, &*again.message), (Said::Done, "ch_1"));
        let asked = bench.far_side().take_asked();
        assert!((1..=2).contains(&asked.len()), "{asked:?}");
        assert!(again.steps[0].before != Before::Unsure || !asked.is_empty());
    });
    assert_eq!(crashes, 10, "step_begin, step_key, the request, step_end and explain, before and after");
}

#[test]
fn a_status_that_is_no_success_is_a_retry_after_what_the_far_side_says() {
    let bench = bench();
    bench.far_side().answer("POST", CHARGES, Answer::status(503).header("Retry-After", "7"));
    let busy = bench.deliver(&event("charge"));
    assert_eq!((busy.outcome, &*busy.code), (Said::Retry(Some(Duration::from_secs(7))), "http_503"));
    assert_eq!(busy.message, "api.example.com answered 503");
    bench.far_side().answer("POST", CHARGES, Answer::status(200).body("<html>"));
    let odd = bench.deliver(&event("charge"));
    assert_eq!((odd.outcome, &*odd.code), (Said::Retry(None), "http_answer"));
    assert_eq!(odd.message, "the answer of api.example.com is not the JSON expected (line 1, column 1)");
}

#[test]
fn each_kind_of_failure_has_its_code_and_says_whether_anything_was_sent() {
    let bench = bench();
    for (kind, word, arrives) in [
        (ErrorKind::Refused, "refused", false),
        (ErrorKind::Resolve, "resolve", false),
        (ErrorKind::Connect, "connect", false),
        (ErrorKind::Tls, "tls", false),
        (ErrorKind::Busy, "busy", false),
        (ErrorKind::Invalid, "invalid", false),
        (ErrorKind::TooLarge, "too_large", false),
        (ErrorKind::Timeout, "timeout", true),
        (ErrorKind::Broken, "broken", true),
        (ErrorKind::AnswerTooLarge, "answer_too_large", true),
        (ErrorKind::Cancelled, "cancelled", true),
        (ErrorKind::Host, "host", true),
    ] {
        bench.far_side().answer("POST", CHARGES, Answer::fails(kind));
        let failed = bench.deliver(&event("charge"));
        assert_eq!((failed.outcome, failed.code), (Said::Retry(None), format!("http_{word}")), "{kind:?}");
        assert_eq!(bench.far_side().take_asked().len(), usize::from(arrives), "{kind:?}");
        bench.far_side().answer("DELETE", "https://user@api.example.com/v1?secret", Answer::fails(kind));
        let failed = bench.deliver(&event("delete"));
        assert_eq!((failed.outcome, &*failed.code), (Said::Reject, word));
        assert!(failed.message.ends_with(&arrives.to_string()), "{}", failed.message);
        bench.far_side().take_asked();
    }
}

#[test]
fn what_is_not_scripted_is_refused_and_said_and_no_time_is_no_request() {
    let bench = bench();
    let refused = bench.deliver(&event("charge"));
    assert_eq!((refused.outcome, &*refused.code), (Said::Retry(None), "http_refused"));
    assert!(refused.message.contains(&format!("no answer to POST {CHARGES}")), "{}", refused.message);
    bench.far_side().answer("GET", "https://api.example.com/", Answer::status(200));
    let late = bench.deliver(&TestEvent { remaining: Duration::ZERO, ..event("look") });
    assert_eq!((late.outcome, &*late.code), (Said::Retry(None), "http_cancelled"));
    assert!(bench.far_side().asked().is_empty());
}

#[test]
fn a_request_above_hookyards_limits_never_comes() {
    let bench = bench();
    bench.far_side().answer("POST", CHARGES, Answer::status(200));
    for (bytes, code, comes) in [(raw::BODY_BYTES_MAX, "", 1), (raw::BODY_BYTES_MAX + 1, "http_too_large", 0)]
    {
        let said = bench.deliver(&TestEvent { body: vec![b'x'; bytes], ..event("body") });
        assert_eq!((&*said.code, bench.far_side().take_asked().len()), (code, comes), "{bytes} bytes");
    }
}

/// What the raw host offers of the extension: made by a test, read by the functions below, one at a time.
struct Offer {
    table: raw::Http,
    said: String,
}

impl Offer {
    /// What the plugin explains when it looks.
    fn look(table: raw::Http) -> String {
        let mut offer = Self { table, said: String::new() };
        let host = abi::Host {
            size: abi::size_of_u32::<abi::Host>(),
            abi_major: abi::ABI_MAJOR,
            abi_minor: abi::ABI_MINOR,
            log_enabled: None,
            log: None,
            metric: None,
            remaining_ms: None,
            explain: Some(explain),
            step_begin: None,
            step_end: None,
            step_key: None,
            kv_get: None,
            kv_put: None,
            secret: None,
            extension: Some(extension),
        };
        let plugin = hookyard_plugin::ffi::descriptor::<Charger>("test", "0", "");
        let mut instance = std::ptr::null_mut();
        let mut err = [0; 100];
        let raw_event = abi::Event {
            size: abi::size_of_u32::<abi::Event>(),
            attempt: 1,
            received_unix_ms: 0,
            event_id: Bytes::of(b"id"),
            source: Bytes::EMPTY,
            topic: Bytes::of(b"look"),
            rule: Bytes::EMPTY,
            content_type: Bytes::EMPTY,
            body: Bytes::EMPTY,
            headers: std::ptr::null(),
            header_count: 0,
        };
        let offered = (&raw mut offer).cast();
        // SAFETY: the descriptor's own functions, with arguments that outlive their calls.
        unsafe {
            let settings = Bytes::of(b"{}");
            let status = plugin.create.unwrap()(
                &raw const host,
                std::ptr::without_provenance_mut::<u8>(8).cast(),
                settings,
                &raw mut instance,
                err.as_mut_ptr(),
                err.len(),
            );
            assert_eq!(status, abi::OK);
            OFFER.set(offered);
            plugin.handle.unwrap()(instance, offered.cast(), &raw const raw_event);
            plugin.destroy.unwrap()(instance);
        }
        offer.said
    }
}

thread_local! {
    static OFFER: std::cell::Cell<*mut Offer> = const { std::cell::Cell::new(std::ptr::null_mut()) };
}

unsafe extern "C" fn extension(_: *mut abi::Ctx, id: Bytes) -> *const c_void {
    // SAFETY: the SDK passes a live text, and the offer lives while its plugin runs.
    unsafe {
        assert_eq!(id.text(), Some(raw::ID));
        (&raw const (*OFFER.get()).table).cast()
    }
}

unsafe extern "C" fn explain(_: *mut abi::Call, detail: *const abi::Detail) -> abi::Status {
    // SAFETY: the SDK passes a live detail, and the offer lives while its plugin runs.
    unsafe {
        let detail = abi::read(detail).unwrap();
        (*OFFER.get()).said = format!("{} {}", detail.code.text().unwrap(), detail.message.text().unwrap());
    }
    abi::OK
}

unsafe extern "C" fn no_words(
    _: *mut abi::Ctx,
    _: *mut abi::Call,
    _: *const raw::Request,
    _: *mut raw::Response,
) -> abi::Status {
    raw::E_TLS
}

unsafe extern "C" fn lies(
    _: *mut abi::Ctx,
    _: *mut abi::Call,
    _: *const raw::Request,
    response: *mut raw::Response,
) -> abi::Status {
    // SAFETY: the SDK passes a place for a response.
    unsafe { (*response).header_count = 3 };
    abi::OK
}

#[test]
fn a_host_that_offers_less_or_breaks_the_contract_is_told_apart() {
    let whole = abi::size_of_u32::<raw::Http>();
    let table = raw::Http { size: whole, reserved0: 0, request: Some(no_words) };
    assert_eq!(Offer::look(table), "http_tls api.example.com: no TLS connection");
    for size in 0..whole {
        let said = Offer::look(raw::Http { size, ..table });
        assert!(said.starts_with("http_not_offered this hookyard makes no HTTP requests"), "{size}: {said}");
    }
    let said = Offer::look(raw::Http { request: None, ..table });
    assert!(said.starts_with("http_not_offered"), "{said}");
    assert_eq!(
        Offer::look(raw::Http { request: Some(lies), ..table }),
        "http_invalid api.example.com: the request breaks the contract"
    );
}
