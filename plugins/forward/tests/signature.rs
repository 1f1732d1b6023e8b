//! Our signatures beside those of the official Standard Webhooks libraries for Python and JavaScript.
// clippy lets `#[test]` functions unwrap, but not what they call.
#![allow(clippy::unwrap_used)]

mod oracle;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookyard_forward::sign::{SigningKey, signature};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// Bodies that are JSON (the libraries parse what they verify), ids, moments and keys.
fn cases() -> Vec<(Vec<String>, String, u64, String)> {
    let key = vec(any::<u8>(), 24..=64).prop_map(|bytes| format!("whsec_{}", STANDARD.encode(bytes)));
    let text = prop_oneof![".{0,40}", "[a\u{e4}\u{20ac}\u{1f980}\\\\\"\n]{0,3000}"];
    let body = (text, any::<i64>(), "[ \n\t]{0,3}")
        .prop_map(|(text, number, space)| format!("{space}{{\"id\":{number},{space}\"t\":{}}}", json!(text)));
    let case = (vec(key, 1..=3), "[0-9A-Z]{26}", 1_600_000_000_u64..4_000_000_000, body);
    let mut runner = TestRunner::deterministic();
    (0..300).map(|_| case.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn the_official_libraries_sign_alike_and_take_what_we_sign_with_each_key() {
    let (mut lines, mut expected) = (Vec::new(), Vec::new());
    for (secrets, id, timestamp, body) in cases() {
        let keys: Vec<SigningKey> = secrets.iter().map(|secret| SigningKey::parse(secret).unwrap()).collect();
        let all = signature(&keys, &id, timestamp, body.as_bytes());
        let common = |secret: &str| {
            let (body, timestamp) = (hex(body.as_bytes()), timestamp.to_string());
            json!({ "secret": secret, "body": body, "id": id, "timestamp": timestamp })
        };
        let verify = |secret: &str, signature: &str, now: u64| {
            with(common(secret), &json!({ "do": "verify", "signature": signature, "now": now }))
        };
        for (secret, ours) in secrets.iter().zip(all.split(' ')) {
            lines.push(with(common(secret), &json!({ "do": "sign" })));
            expected.push(json!({ "signature": ours }));
            lines.push(verify(secret, &all, timestamp + 299));
            expected.push(json!({ "verdict": "accept" }));
        }
        // The other way round: what is not ours is not taken, so that the above says something.
        let stranger = format!("whsec_{}", STANDARD.encode([7; 32]));
        lines.push(verify(&stranger, &all, timestamp));
        lines.push(verify(&secrets[0], &all, timestamp + 301));
        lines.push(verify(&secrets[0], &signature(&keys, &id, timestamp + 1, body.as_bytes()), timestamp));
        expected.extend(std::iter::repeat_n(json!({ "verdict": "reject" }), 3));
    }
    for (library, answers) in oracle::ask(&lines) {
        for ((line, expected), answer) in lines.iter().zip(&expected).zip(answers) {
            assert_eq!(*expected, answer, "{library}: {line}");
        }
    }
}

fn with(mut line: Value, more: &Value) -> Value {
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
