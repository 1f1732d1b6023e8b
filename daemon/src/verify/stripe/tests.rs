//! Stripe's signature against answers known from the SDKs' own suites, every malformed header that they list, and
//! properties: what is signed verifies, a changed bit does not, a rolled secret works until it is removed.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use secrecy::SecretString;

use super::{HEADER_NAME, SchemeError, StripeScheme, parse, sign};
use crate::model::clock::UnixMillis;
use crate::verify::{Matched, Rejection};

const TOLERANCE: Duration = Duration::from_secs(300);
const NOW: u64 = 1_796_000_000;
const BODY: &[u8] = br#"{"id":"evt_1","type":"charge.refunded"}"#;

fn scheme(secrets: &[&str]) -> StripeScheme {
    StripeScheme::new(secrets.iter().map(|secret| SecretString::from(*secret)).collect(), TOLERANCE).unwrap()
}

fn headers(line: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HEADER_NAME, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    headers
}

fn at(seconds: u64) -> UnixMillis {
    UnixMillis(seconds * 1000)
}

fn signed(secret: &str, timestamp: u64) -> String {
    sign(&SecretString::from(secret), timestamp, BODY)
}

/// The reason word, or `accepted`.
fn verdict(line: &str) -> &'static str {
    match scheme(&["whsec_a"]).verify(&headers(line), BODY, at(NOW)) {
        Ok(_) => "accepted",
        Err(rejection) => rejection.reason(),
    }
}

/// Base64 for the vectors, written here because nothing else needs it.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes().filter(|digit| *digit != b'=') {
        let value = ALPHABET.iter().position(|known| *known == digit).unwrap();
        bits = (bits << 6) | u32::try_from(value).unwrap();
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).unwrap());
        }
    }
    bytes
}

struct Known {
    secret: String,
    header: String,
    body: Vec<u8>,
    now: u64,
}

fn known_answers() -> Vec<Known> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/stripe_signature.json");
    let vectors: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = vectors["known_answers"].as_array().unwrap();
    rows.iter()
        .map(|row| Known {
            secret: text(row, "secret"),
            header: text(row, "header"),
            body: base64(&text(row, "body_b64")),
            now: row["now"].as_u64().unwrap(),
        })
        .collect()
}

#[test]
fn the_known_answers_of_the_sdks_hold() {
    let known = known_answers();
    assert_eq!(known.len(), 2);
    for answer in known {
        let scheme = scheme(&[&answer.secret]);
        let line = headers(&answer.header);
        assert_eq!(scheme.verify(&line, &answer.body, at(answer.now)), Ok(Matched { secret: 0 }));
        let late = scheme.verify(&line, &answer.body, at(answer.now + 400)).unwrap_err();
        assert_eq!(late.reason(), "timestamp_outside_tolerance");
        let longer = [&answer.body[..], b"\n"].concat();
        assert_eq!(scheme.verify(&line, &longer, at(answer.now)), Err(Rejection::NoV1Matches));
        assert_eq!(
            scheme.verify(&line, &answer.body[1..], at(answer.now)),
            Err(Rejection::NoV1Matches),
            "a body without its first byte"
        );
    }
}

#[test]
fn the_malformed_headers_of_the_dotnet_suite_fail() {
    let mac = &signed("whsec_a", NOW)[15..];
    let lines = [
        format!("t=,v1={mac},v0={mac}"),
        "t,v1=,v0=".to_owned(),
        "t,v1=,v0".to_owned(),
        "t,v1=,".to_owned(),
        "t,,".to_owned(),
        ",,".to_owned(),
        "t".to_owned(),
        "bad_header".to_owned(),
        "v1,t=1".to_owned(),
        "t=".to_owned(),
    ];
    for line in lines {
        assert_eq!(verdict(&line), "header_malformed", "{line}");
    }
}

#[test]
fn each_fault_of_a_header_has_its_reason() {
    let good = signed("whsec_a", NOW);
    let mac = good.split_once("v1=").unwrap().1;
    let long = format!("{good},x={}", "y".repeat(8 * 1024));
    let many = format!("t={NOW}{}", format!(",v1={mac}").repeat(33));
    let most = format!("t={NOW}{}", format!(",v1={mac}").repeat(32));
    let rows: &[(&str, &str)] = &[
        (&good, "accepted"),
        (&format!("{good},v0=abc,v2=,x=a=b"), "accepted"),
        (&format!("{good},v1=bad_signature"), "accepted"),
        (&format!("{good},v1="), "accepted"),
        (&format!("v1=potato,v1={mac},t={NOW}"), "accepted"),
        (&most, "accepted"),
        (&many, "header_malformed"),
        (&long, "header_malformed"),
        ("", "header_malformed"),
        (&format!("{good},"), "header_malformed"),
        (&format!("{good},v0"), "header_malformed"),
        (&format!("t={NOW},{good}"), "header_malformed"),
        (&format!("t={NOW}, v1={mac}"), "header_malformed"),
        (&format!("t={NOW},v1={mac}é"), "header_malformed"),
        (&format!("v1={mac}"), "header_malformed"),
        (&format!("t=+{NOW},v1={mac}"), "header_malformed"),
        (&format!("t=0{NOW},v1={mac}"), "header_malformed"),
        (&format!("t={NOW}.5,v1={mac}"), "header_malformed"),
        (&format!("t={NOW}abc,v1={mac}"), "header_malformed"),
        (&format!("t=1_796_000_000,v1={mac}"), "header_malformed"),
        (&format!("t=1796000000000,v1={mac}"), "header_malformed"),
        (&format!("t=-9223372036854775808,v1={mac}"), "header_malformed"),
        (&format!("T={NOW},V1={mac}"), "header_malformed"),
        (&format!("t={NOW},V1={mac}"), "no_v1_matches"),
        (&format!("t={NOW}"), "no_v1_matches"),
        (&format!("t={NOW},v0={mac}"), "no_v1_matches"),
        (&format!("t={NOW},v1={}", mac.to_uppercase()), "no_v1_matches"),
        (&format!("t={NOW},v1={mac}=x"), "no_v1_matches"),
        (&format!("t={NOW},v1={mac}00"), "no_v1_matches"),
        (&format!("t={},v1={mac}", NOW + 1), "no_v1_matches"),
        ("t=999999999999,v1=00", "timestamp_outside_tolerance"),
    ];
    for (line, expected) in rows {
        assert_eq!(verdict(line), *expected, "{line}");
    }
}

#[test]
fn a_missing_and_a_doubled_header_are_told_apart() {
    let scheme = scheme(&["whsec_a"]);
    let missing = scheme.verify(&HeaderMap::new(), BODY, at(NOW)).unwrap_err();
    assert_eq!(missing, Rejection::HeaderMissing { header: "Stripe-Signature" });
    let mut doubled = headers(&signed("whsec_a", NOW));
    doubled.append(HEADER_NAME, HeaderValue::from_static("t=1"));
    assert_eq!(scheme.verify(&doubled, BODY, at(NOW)).unwrap_err().reason(), "header_malformed");
}

#[test]
fn the_docs_sample_parses() {
    let line = "t=1492774577,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd,\
                v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39";
    let header = parse(line).unwrap();
    assert_eq!((header.timestamp_seconds, header.offered.len()), (1_492_774_577, 1));
}

#[test]
fn the_tolerance_counts_in_both_directions_to_the_millisecond() {
    let scheme = scheme(&["whsec_a"]);
    let line = headers(&signed("whsec_a", NOW));
    let age = |now: UnixMillis| match scheme.verify(&line, BODY, now) {
        Ok(_) => None,
        Err(Rejection::TimestampOutsideTolerance { age_seconds, tolerance_seconds: 300 }) => {
            Some(age_seconds)
        }
        Err(other) => panic!("{other}"),
    };
    assert_eq!(age(UnixMillis(NOW * 1000 + 300_000)), None);
    assert_eq!(age(UnixMillis(NOW * 1000 + 300_001)), Some(301));
    assert_eq!(age(UnixMillis(NOW * 1000 - 300_000)), None);
    assert_eq!(age(UnixMillis(NOW * 1000 - 300_001)), Some(-301));
    assert_eq!(age(UnixMillis(0)), Some(-1_796_000_000));
    assert_eq!(age(UnixMillis(u64::MAX)), Some((i64::MAX - 1_796_000_000_000).div_euclid(1000) + 1));
}

#[test]
fn unsafe_settings_are_refused() {
    let new = |secrets: &[&str], tolerance| {
        StripeScheme::new(secrets.iter().map(|secret| SecretString::from(*secret)).collect(), tolerance)
            .map(|_| ())
    };
    assert_eq!(new(&[], TOLERANCE), Err(SchemeError::NoSecret));
    assert_eq!(new(&["whsec_a", " \t\n"], TOLERANCE), Err(SchemeError::BlankSecret { number: 2 }));
    assert_eq!(new(&["whsec_a"], Duration::ZERO), Err(SchemeError::NoTolerance));
    assert_eq!(new(&["a"; 9], TOLERANCE), Err(SchemeError::TooManySecrets { given: 9, max: 8 }));
}

#[test]
fn no_secret_is_shown_by_debug() {
    let scheme = scheme(&["whsec_hidden"]);
    let verifier = scheme.begin(&headers(&signed("whsec_hidden", NOW)), at(NOW)).unwrap();
    assert_eq!(format!("{scheme:?}"), "StripeScheme { secrets: 1, tolerance: 300s }");
    assert_eq!(format!("{verifier:?}"), "StripeVerifier { secrets: 1, offered: 1 }");
}

#[test]
fn a_rolled_secret_verifies_with_either_and_names_which() {
    let rolling = scheme(&["whsec_new", "whsec_old"]);
    for (secret, expected) in [("whsec_new", 0), ("whsec_old", 1)] {
        let line = headers(&signed(secret, NOW));
        assert_eq!(rolling.verify(&line, BODY, at(NOW)), Ok(Matched { secret: expected }));
    }
    let removed = scheme(&["whsec_new"]);
    let old = headers(&signed("whsec_old", NOW));
    assert_eq!(removed.verify(&old, BODY, at(NOW)), Err(Rejection::NoV1Matches));
}

proptest! {
    #[test]
    fn what_is_signed_verifies_in_any_pieces(
        secret in "[!-~]{1,80}",
        body in proptest::collection::vec(any::<u8>(), 0..600),
        cut in any::<prop::sample::Index>(),
        timestamp in 1_u64..=999_999_999_999,
    ) {
        let scheme = scheme(&[&secret]);
        let line = headers(&sign(&SecretString::from(secret.as_str()), timestamp, &body));
        let mut verifier = scheme.begin(&line, at(timestamp)).unwrap();
        let cut = cut.index(body.len() + 1);
        verifier.update(&body[..cut]);
        verifier.update(&body[cut..]);
        prop_assert_eq!(verifier.finish(), Ok(Matched { secret: 0 }));
    }

    #[test]
    fn a_changed_bit_of_the_body_is_refused(
        mut body in proptest::collection::vec(any::<u8>(), 1..600),
        at_byte in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let line = headers(&sign(&SecretString::from("whsec_a"), NOW, &body));
        let changed = at_byte.index(body.len());
        body[changed] ^= 1 << bit;
        prop_assert_eq!(scheme(&["whsec_a"]).verify(&line, &body, at(NOW)), Err(Rejection::NoV1Matches));
    }

    #[test]
    fn a_changed_byte_of_the_header_is_refused(at_byte in any::<prop::sample::Index>(), new in b'!'..=b'~') {
        let mut line = signed("whsec_a", NOW).into_bytes();
        let changed = at_byte.index(line.len());
        prop_assume!(line[changed] != new);
        line[changed] = new;
        let line = headers(&String::from_utf8(line).unwrap());
        prop_assert!(scheme(&["whsec_a"]).verify(&line, BODY, at(NOW)).is_err());
    }

    #[test]
    fn no_header_makes_it_panic(line in "[ -~é]{0,200}", now in any::<u64>()) {
        let verdict = scheme(&["whsec_a"]).verify(&headers(&line), BODY, UnixMillis(now));
        prop_assert!(verdict.is_err());
    }

    #[test]
    fn another_secret_is_refused(one in "[!-~]{1,40}", other in "[!-~]{1,40}") {
        prop_assume!(one != other);
        let line = headers(&signed(&one, NOW));
        prop_assert_eq!(scheme(&[&other]).verify(&line, BODY, at(NOW)), Err(Rejection::NoV1Matches));
    }
}
