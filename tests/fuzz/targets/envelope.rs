//! The envelope of a verified body: made or refused, never a panic, and what is in it is what the body says.
//!
//! Input: header lines (`name: value`), a zero byte, the body. Held: an accepted body is JSON to its last byte; id, type,
//! account and livemode are those that a whole parse finds; two events share an idempotency key only if they share id and
//! account; no header that carries a credential is kept, and no more bytes of headers than the limit.
#![no_main]

use bytes::Bytes;
use hookyard::ingest::envelope;
use hookyard::model::clock::UnixMillis;
use hookyard::model::event::Envelope;
use hookyard::model::ids::SourceName;
use hookyard::model::limits::{KEPT_HEADER_BYTES_MAX, PROVIDER_WORD_BYTES_MAX};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let zero = input.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (lines, body) = input.split_at(zero);
    let body = Bytes::copy_from_slice(body.strip_prefix(&[0]).unwrap_or(body));
    let headers = headers(lines);
    let made = envelope::make(&SourceName::new("fuzz"), &headers, body.clone(), UnixMillis(1));
    match made {
        Ok(envelope) => check(&envelope, &body),
        Err(fault) => assert!(!fault.to_string().is_empty() && !fault.reason().is_empty()),
    }
});

fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fn check(envelope: &Envelope, body: &Bytes) {
    assert_eq!(&envelope.body, body, "the body is kept as it came");
    serde_json::from_slice::<IgnoredAny>(body).expect("an accepted body is JSON");
    // A whole parse refuses what is nested deeper than 128 or numbers beyond every double; the envelope does not look.
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        assert_eq!(value["id"].as_str(), Some(envelope.provider_id.as_str()));
        assert_eq!(value["type"].as_str(), Some(envelope.event_type.as_str()));
        let account = value["account"].as_str().filter(|account| !account.trim().is_empty());
        assert_eq!(account, envelope.account.as_deref());
        assert_eq!(value["livemode"].as_bool(), envelope.livemode);
    }
    for word in [&envelope.provider_id, &envelope.event_type] {
        assert!(!word.trim().is_empty() && word.len() <= PROVIDER_WORD_BYTES_MAX);
    }
    assert_eq!(
        key_of(envelope.idempotency_key.as_str()),
        (envelope.provider_id.clone(), envelope.account.clone())
    );

    let mut kept_bytes = 0;
    for (name, value) in &envelope.headers {
        assert!(!["authorization", "cookie", "x-api-key", "proxy-authorization"].contains(&name.as_str()));
        // What is not UTF-8 was replaced: a byte may have become three.
        kept_bytes += name.len() + value.chars().count();
    }
    assert!(kept_bytes <= KEPT_HEADER_BYTES_MAX);
}

/// The id and the account that a key stands for.
fn key_of(key: &str) -> (String, Option<String>) {
    let (id, account) = match key.split_once('/') {
        Some((id, account)) => (id, Some(account.to_owned())),
        None => (key, None),
    };
    (id.replace("%2F", "/").replace("%25", "%"), account)
}
