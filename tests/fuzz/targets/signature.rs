//! The `Stripe-Signature` header: whatever stands in it, the verifier neither panics nor takes what is not signed.
//!
//! Input: header lines, a zero byte, the body. No fuzzer guesses a MAC, so `{0}` and `{1}` in a header line stand for the
//! MAC that the first and the second secret give, computed here by HMAC's definition and not by the crate that the
//! verifier uses. Held: what is verified carries that MAC under the very `t` of the header; a plain header that carries it
//! within the tolerance is verified; in how many pieces the body comes makes no difference.
#![no_main]

use std::time::Duration;

use hookyard::model::clock::UnixMillis;
use hookyard::verify::Scheme;
use hookyard::verify::stripe::{StripeScheme, sign};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

const SECRETS: [&str; 2] =
    ["whsec_first", "a secret that is longer than one block of the hash, which HMAC therefore hashes first"];
const NOW_SECONDS: u64 = 1_796_000_000;
const TOLERANCE_SECONDS: u64 = 300;
/// Two lines are refused already; each costs the MACs that stand in it.
const LINES_MAX: usize = 4;

fuzz_target!(|input: &[u8]| {
    let Some(zero) = input.iter().position(|byte| *byte == 0) else { return };
    let (lines, body) = (&input[..zero], &input[zero + 1..]);
    let Some(headers) = headers(lines, body) else { return };

    let secrets = SECRETS.map(SecretString::from).to_vec();
    let scheme = StripeScheme::new(secrets, Duration::from_secs(TOLERANCE_SECONDS)).expect("a safe scheme");
    let scheme = Scheme::Stripe(scheme);
    let now = UnixMillis(NOW_SECONDS * 1000);
    let verdict = scheme.verify(&headers, body, now);

    let in_pieces = scheme.begin(&headers, now).and_then(|mut verifier| {
        body.chunks(7).for_each(|piece| verifier.update(piece));
        verifier.finish()
    });
    assert_eq!(verdict, in_pieces);

    let line = headers.get("stripe-signature").map(|line| line.as_bytes().to_vec()).unwrap_or_default();
    match verdict {
        Ok(matched) => {
            let timestamp = timestamp(&line).expect("what is verified has a `t`");
            let mac = hex::encode(mac(SECRETS[matched.secret].as_bytes(), timestamp, body));
            let carried = line.split(|byte| *byte == b',').any(|part| part == format!("v1={mac}").as_bytes());
            assert!(carried, "verified without its MAC");
            assert_eq!(headers.get_all("stripe-signature").iter().count(), 1);
        }
        Err(rejection) => {
            assert!(!rejection.to_string().is_empty());
            let alone = headers.len() == 1;
            assert!(!(alone && is_genuine(&line, body)), "genuine and refused: {rejection}");
        }
    }
});

/// The header lines as they would come, placeholders filled in; `None` where HTTP could not carry them, or they are too many.
fn headers(lines: &[u8], body: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    if lines.is_empty() {
        return Some(headers);
    }
    if lines.iter().filter(|byte| **byte == b'\n').count() >= LINES_MAX {
        return None;
    }
    for line in lines.split(|byte| *byte == b'\n') {
        let timestamp = timestamp(line).unwrap_or_default();
        let mut line = line.to_vec();
        for (placeholder, secret) in [b"{0}", b"{1}"].into_iter().zip(SECRETS) {
            if line.windows(placeholder.len()).any(|part| part == placeholder) {
                let mac = hex::encode(mac(secret.as_bytes(), timestamp, body));
                line = replaced(&line, placeholder, mac.as_bytes());
            }
        }
        headers.append("stripe-signature", HeaderValue::from_bytes(&line).ok()?);
    }
    Some(headers)
}

/// What `sign` makes for a timestamp within the tolerance.
fn is_genuine(line: &[u8], body: &[u8]) -> bool {
    let Some(seconds) = timestamp(line).and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok())
    else {
        return false;
    };
    seconds.abs_diff(NOW_SECONDS) <= TOLERANCE_SECONDS
        && SECRETS.iter().any(|secret| sign(&SecretString::from(*secret), seconds, body).as_bytes() == line)
}

/// What stands behind the first `t=`.
fn timestamp(line: &[u8]) -> Option<&[u8]> {
    line.split(|byte| *byte == b',').find_map(|part| part.strip_prefix(b"t="))
}

/// HMAC-SHA256 over `timestamp.body`, as RFC 2104 writes it down.
fn mac(secret: &[u8], timestamp: &[u8], body: &[u8]) -> [u8; 32] {
    let mut key = [0_u8; 64];
    if secret.len() > key.len() {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let padded = |pad: u8| key.map(|byte| byte ^ pad);
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(timestamp)
        .chain_update(b".")
        .chain_update(body)
        .finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

fn replaced(text: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with);
        rest = &rest[at + what.len()..];
    }
    out.extend_from_slice(rest);
    out
}
