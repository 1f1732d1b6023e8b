//! Every fixture makes an envelope; every bad body its own fault; no credential is kept.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::privacy::At;

fn envelope(body: &[u8], headers: &HeaderMap) -> Result<Envelope, PayloadFault> {
    make(&SourceName::new("stripe"), headers, Bytes::copy_from_slice(body), UnixMillis(7))
}

fn reason(body: &[u8]) -> &'static str {
    envelope(body, &HeaderMap::new()).map_or_else(|fault| fault.reason(), |_| "accepted")
}

#[test]
fn every_fixture_makes_an_envelope_with_its_own_bytes() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() == "INDEX.json" {
            continue;
        }
        let body = std::fs::read(&path).unwrap();
        let whole: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let envelope = envelope(&body, &HeaderMap::new()).unwrap();
        assert_eq!(envelope.provider_id, whole["id"].as_str().unwrap(), "{path:?}");
        assert_eq!(envelope.event_type, whole["type"].as_str().unwrap(), "{path:?}");
        assert_eq!(envelope.livemode, whole["livemode"].as_bool(), "{path:?}");
        assert_eq!(envelope.account.as_deref(), whole["account"].as_str(), "{path:?}");
        assert_eq!(envelope.body, body, "{path:?}");
        seen += 1;
    }
    assert_eq!(seen, 53);
}

#[test]
fn each_bad_body_has_its_reason() {
    let long = format!(r#"{{"id":"{}","type":"t"}}"#, "x".repeat(513));
    let keys: Vec<String> = (0..300).map(|n| format!(r#""k{n}":{n}"#)).collect();
    let many = format!(r#"{{"id":"e","type":"t",{}}}"#, keys.join(","));
    let deep = format!(r#"{{"id":"e","type":"t","data":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let rows: &[(&[u8], &str)] = &[
        (br#"{"id":"e","type":"t"}"#, "accepted"),
        (b" {\"id\":\"e\",\n\"type\":\"t\",\"data\":{}}\n", "accepted"),
        (br#"{"id":"e","type":"t","account":null,"livemode":null}"#, "accepted"),
        (br#"{"\u0069d":"e","type":"\u0074"}"#, "accepted"),
        (deep.as_bytes(), "accepted"),
        (b"", "body_not_json"),
        (b"nonsense", "body_not_json"),
        (br#"{"id":"e","type":"t""#, "body_not_json"),
        (br#"{"id":"e","type":"t"} {}"#, "body_not_json"),
        (br#"{"id":"e","type":"t","data":{"a":tru}}"#, "body_not_json"),
        (b"\xef\xbb\xbf{\"id\":\"e\",\"type\":\"t\"}", "body_not_json"),
        (b"{\"id\":\"e\",\"type\":\"t\",\"x\":\"\xff\"}", "body_not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (br#""x""#, "not_an_object"),
        (b"{}", "id_missing"),
        (br#"{"id":null,"type":"t"}"#, "id_missing"),
        (br#"{"id":" ","type":"t"}"#, "id_missing"),
        (br#"{"id":"e"}"#, "type_missing"),
        (br#"{"id":7,"type":"t"}"#, "wrong_kind"),
        (br#"{"id":{"a":[]},"type":"t"}"#, "wrong_kind"),
        (br#"{"id":"e","type":["t"]}"#, "wrong_kind"),
        (br#"{"id":"e","type":"t","account":1.5}"#, "wrong_kind"),
        (br#"{"id":"e","type":"t","livemode":"true"}"#, "wrong_kind"),
        (br#"{"id":"e","type":"t","id":"f"}"#, "duplicate_key"),
        (br#"{"id":"e","type":"t","data":{},"data":{}}"#, "duplicate_key"),
        (br#"{"id":"e","type":"t","\u0069d":"e"}"#, "duplicate_key"),
        (long.as_bytes(), "too_long"),
        (many.as_bytes(), "too_many_keys"),
    ];
    for (body, expected) in rows {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!(reason(body), *expected, "{shown}");
    }
}

#[test]
fn headers_are_kept_but_for_credentials_and_only_so_many() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        ("Stripe-Signature", "t=1,v1=00"),
        ("authorization", "Bearer x"),
        ("cookie", "a=b"),
        ("proxy-authorization", "Basic x"),
        ("x-api-key", "k"),
        ("x-amzn-oidc-data", "j"),
        ("user-agent", "Stripe/1.0"),
    ] {
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers.append("x-long", HeaderValue::from_str(&"y".repeat(9000)).unwrap());
    let envelope = envelope(br#"{"id":"e","type":"t"}"#, &headers).unwrap();
    assert_eq!(envelope.content_type, "application/json; charset=utf-8");
    let names: Vec<&str> = envelope.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", "stripe-signature", "user-agent"]);
}

proptest! {
    #[test]
    fn two_pairs_of_id_and_account_never_share_a_key(
        one in ("[a/%2F5]{1,6}", proptest::option::of("[a/%2F5]{1,6}")),
        other in ("[a/%2F5]{1,6}", proptest::option::of("[a/%2F5]{1,6}")),
    ) {
        let key = |(id, account): &(String, Option<String>)| idempotency_key(id, account.as_deref());
        prop_assert_eq!(one == other, key(&one) == key(&other));
    }

    #[test]
    fn only_whole_json_is_taken(cut in 0_usize..60) {
        let body = br#"{"id":"evt_1","type":"charge.refunded","data":{"object":{}}}"#;
        prop_assume!(cut < body.len());
        prop_assert_eq!(reason(&body[..cut]), "body_not_json");
    }
}

#[test]
fn what_is_redacted_is_gone_before_it_is_stored_and_the_hash_of_what_came_is_told() {
    let body = br#"{"id":"evt_1","type":"t","data":{"object":{"phone":"+49 1","n":1}}}"#;
    let mut headers = HeaderMap::new();
    headers.insert("stripe-signature", HeaderValue::from_static("t=1,v1=a"));
    headers.insert("x-hookyard-redacted", HeaderValue::from_static("a lie"));
    let plain = envelope(body, &headers).unwrap();
    assert_eq!(plain.header("x-hookyard-redacted"), None, "nobody else speaks for hookyard");

    let steps = ["data", "object", "phone"].map(|key| At::Key(key.into())).to_vec();
    let redaction = Redaction::new(vec![("data.object.phone".to_owned(), steps)]);
    let mut redacted = plain.clone();
    redact(&mut redacted, &redaction);
    assert_eq!(
        redacted.body,
        &br#"{"id":"evt_1","type":"t","data":{"object":{"phone":"[redacted]","n":1}}}"#[..]
    );
    assert_eq!(redacted.header("x-hookyard-body-sha256"), Some(&*hex::encode(Sha256::digest(body))));
    assert_eq!(redacted.header("x-hookyard-redacted"), Some("data.object.phone"));
    assert_eq!(redacted.header("stripe-signature"), Some("t=1,v1=a"));
    assert_eq!(redacted.idempotency_key, plain.idempotency_key);

    let mut untouched = envelope(br#"{"id":"evt_1","type":"t"}"#, &headers).unwrap();
    let before = untouched.clone();
    redact(&mut untouched, &redaction);
    assert_eq!(untouched, before);
}
