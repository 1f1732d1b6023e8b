//! The forward plugin in the real daemon, with a real receiver that is down, busy, and gone: each event is posted until it
//! is taken, under one `webhook-id`, and what the receiver never wants is a dead letter.
//!
//! What was posted is read from the receiver, and its signatures are judged by the official libraries.

#[path = "../../plugins/forward/tests/oracle/mod.rs"]
mod oracle;
#[path = "../../plugins/forward/tests/receiver/mod.rs"]
pub(crate) mod receiver;

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::stripe::{self, SECRET};
use crate::yard::{Yard, found, profile_dir};
use receiver::{Raw, Receiver, Request, status};

const KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const HANDLER: &str = r#"
[plugin.forward]
path = "LIBRARIES/libhookyard_forward.so"

[handler.billing]
plugin = "forward"
timeout = "2s"
retry = { first = "50ms", factor = 1.0, max = "50ms", attempts = 1000, jitter = 0.0 }
secrets = { signing_key = "file:billing.key" }
settings = { url = "http://127.0.0.1:PORT/hooks", allow = ["127.0.0.1"] }

[[rule]]
name = "to billing"
handlers = ["billing"]
when = { WHEN }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_posted_until_it_is_taken_under_one_id_and_what_is_gone_is_a_dead_letter() {
    // A port that nobody listens on yet.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut yard = Yard::shipped();
    billing(&yard, port, "type = \"for.billing\"");
    let poster = yard.start().await;

    let body = event("evt_first");
    let answer = poster.try_post(&body, &stripe::sign(&body, SECRET, stripe::now())).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let refused = |shown: &Value| !attempts(shown).is_empty();
    let shown = wait_for_event(&yard, "evt_first", refused).await;
    assert_eq!(attempts(&shown)[0]["code"], "connect", "{shown:#}");

    // The receiver comes up: busy, silent past the attempt's time, then well; and for the other event it is gone.
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let receiver = Receiver::serve(listener, None, answers);
    assert_eq!(receiver.port(), port);
    yard.wait_for_counts("the first is delivered", |counts| counts["delivered"] == 1).await;
    let body = event("evt_gone");
    poster.try_post(&body, &stripe::sign(&body, SECRET, stripe::now())).await.unwrap();
    yard.wait_for_counts("the second is a dead letter", |counts| counts["dead"] == 1).await;

    let first = yard.event("evt_first");
    let codes: Vec<&str> = attempts(&first).iter().filter_map(|attempt| attempt["code"].as_str()).collect();
    assert!(codes.contains(&"http_429") && codes.contains(&"timeout"), "{first:#}");
    let last = &attempts(&first)[attempts(&first).len() - 1];
    assert_eq!(last["result"], json!({ "status": 200, "response": "taken" }), "{first:#}");
    let gone = yard.event("evt_gone");
    assert_eq!(attempts(&gone)[0]["message"], "127.0.0.1 answered 410 Gone: no more of these", "{gone:#}");

    let requests = receiver.requests();
    let of_first = &requests[..3];
    let ids: BTreeSet<&str> = of_first.iter().map(|request| request.header("webhook-id")[0]).collect();
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), [first["event"].as_str().unwrap()]);
    let tries: Vec<u32> =
        of_first.iter().map(|request| request.header("x-hookyard-attempt")[0].parse().unwrap()).collect();
    assert!(tries.is_sorted() && tries[0] > 1, "{tries:?}");
    assert!(of_first.iter().all(|request| request.line == "POST /hooks HTTP/1.1"));
    assert_ne!(of_first[1].connection, of_first[2].connection, "a silent connection is not used again");
    assert!(of_first.iter().all(|request| request.body == event("evt_first")), "byte for byte");
    judged(&requests);
    assert_eq!(yard.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_event_reaches_a_receiver_byte_for_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let receiver = Receiver::serve(listener, None, |_| status("200 OK", "", "taken"));
    let mut yard = Yard::shipped();
    billing(&yard, receiver.port(), "id = { present = true }");
    // The shipped rules' own tests want their events.
    std::fs::remove_dir_all(yard.path("config/rules")).unwrap();
    let poster = yard.start().await;
    let mut posted = BTreeSet::new();
    for prefix in stripe::prefixes() {
        let body = stripe::fixture(&prefix);
        assert_eq!(poster.post(&body).await.status, 200, "{prefix}");
        posted.insert(body);
    }
    yard.wait_for_counts("all are delivered", |counts| counts["delivered"] == posted.len()).await;
    let requests = receiver.requests();
    let received: BTreeSet<Vec<u8>> = requests.iter().map(|request| request.body.clone()).collect();
    assert!(received == posted, "{} of {} came as they were posted", received.len(), posted.len());
    judged(&requests);
}

/// Adds the handler, which posts to that port what the condition fits.
pub(crate) fn billing(yard: &Yard, port: u16, when: &str) {
    std::fs::write(yard.path("billing.key"), KEY).unwrap();
    let handler = HANDLER
        .replace("LIBRARIES", profile_dir().to_str().unwrap())
        .replace("PORT", &port.to_string())
        .replace("WHEN", when);
    yard.edit_config(|text| text + &handler);
}

/// By the number of the request.
fn answers(number: usize) -> Raw {
    match number {
        0 => status("429 Too Many Requests", "Retry-After: 1\r\n", ""),
        1 => Vec::new(),
        2 => status("200 OK", "", "taken"),
        _ => status("410 Gone", "", "no more of these"),
    }
}

/// What the official libraries say of each request as it came, and of Stripe's own signature.
fn judged(requests: &[Request]) {
    let line = |request: &Request| {
        let header = |name: &str| request.header(name)[0].to_owned();
        json!({
            "do": "verify", "secret": KEY, "body": hex::encode(&request.body), "id": header("webhook-id"),
            "timestamp": header("webhook-timestamp"), "signature": header("webhook-signature"),
            "now": header("webhook-timestamp").parse::<u64>().unwrap(),
        })
    };
    let lines: Vec<Value> = requests.iter().map(line).collect();
    for (library, answers) in oracle::ask(&lines) {
        assert!(answers.iter().all(|answer| answer["verdict"] == "accept"), "{library}: {answers:?}");
    }
    assert!(requests.iter().all(|request| request.header("stripe-signature").len() == 1));
}

fn event(id: &str) -> Vec<u8> {
    let object = r#""object": "event",  "type": "for.billing", "livemode": true, "data": {"object": {}}"#;
    format!("{{\"id\": \"{id}\", {object}}}\n").into_bytes()
}

fn attempts(shown: &Value) -> &[Value] {
    shown["deliveries"][0]["tries"].as_array().map_or(&[], Vec::as_slice)
}

async fn wait_for_event(yard: &Yard, id: &str, reached: impl Fn(&Value) -> bool) -> Value {
    let shown = found(|| Some(yard.event(id)).filter(|shown| reached(shown))).await;
    shown.unwrap_or_else(|| panic!("never so: {:#}", yard.event(id)))
}
