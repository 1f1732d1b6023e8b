//! Our verdict on signatures beside those of Stripe's own libraries for Python and Node, over some thousand generated
//! requests: `cases.rs` makes them (always the same), `oracle.rs` asks the libraries, `differences.rs` lists every way
//! in which a verdict may differ and why. A difference that is not listed fails; so does a listed one that never occurs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod cases;
mod differences;
mod oracle;

use std::collections::BTreeMap;
use std::time::Duration;

use hookyard::model::clock::UnixMillis;
use hookyard::verify::stripe::{StripeScheme, sign};
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use secrecy::SecretString;
use serde_json::json;

use cases::{Case, Dice};
use differences::{DIFFERENCES, Difference};
use oracle::{Sdk, Verdict};

#[test]
fn every_difference_from_the_sdks_is_known_and_has_its_reason() {
    let cases = cases::all();
    assert!(cases.len() >= 2000, "{} cases", cases.len());
    let mut seen: BTreeMap<(Sdk, &str), usize> = BTreeMap::new();
    let (mut agreed_to_accept, mut agreed_to_reject, mut unknown) = (0, 0, Vec::new());
    for sdk in [Sdk::Python, Sdk::Node] {
        for (case, theirs) in cases.iter().zip(oracle::verdicts(sdk, &cases)) {
            let ours = our_verdict(case);
            match (ours, theirs) {
                (Verdict::Accept, Verdict::Accept) => agreed_to_accept += 1,
                (Verdict::Reject, Verdict::Reject) => agreed_to_reject += 1,
                _ => match known(sdk, case, ours, theirs) {
                    Some(difference) => *seen.entry((sdk, difference.name)).or_default() += 1,
                    None => unknown.push(format!("{sdk:?} says {theirs:?}, we say {ours:?}: {case:?}")),
                },
            }
        }
    }
    println!("{} cases; both accept {agreed_to_accept}, both reject {agreed_to_reject}", cases.len());
    println!("differences: {seen:#?}");
    assert!(unknown.is_empty(), "{} unlisted differences, such as\n{}", unknown.len(), some(&unknown));
    let never: Vec<_> =
        DIFFERENCES.iter().filter(|listed| !seen.contains_key(&(listed.sdk, listed.name))).collect();
    assert!(never.is_empty(), "listed, but never seen: {never:?}");
    assert!(agreed_to_accept > 500 && agreed_to_reject > 500, "the cases are one-sided");
}

#[test]
fn both_sdks_and_we_sign_alike_and_verify_each_other() {
    let mut dice = Dice::new(2);
    let asked: Vec<_> = (0..300)
        .map(|_| (cases::secret(&mut dice), cases::text_body(&mut dice), dice.between(1, 999_999_999_999)))
        .collect();
    let lines: Vec<_> = asked
        .iter()
        .map(|(secret, body, timestamp)| {
            json!({ "do": "sign", "secret": secret, "body": hex::encode(body), "timestamp": timestamp })
        })
        .collect();
    for sdk in [Sdk::Python, Sdk::Node] {
        for ((secret, body, timestamp), answer) in asked.iter().zip(oracle::ask(sdk, &lines)) {
            let header = answer["header"].as_str().unwrap();
            let secret = SecretString::from(secret.as_str());
            assert_eq!(header, sign(&secret, *timestamp, body), "{sdk:?}");
            let scheme = StripeScheme::new(vec![secret], Duration::from_secs(300)).unwrap();
            let now = UnixMillis(timestamp * 1000);
            scheme.verify(&headers(&[header.to_owned()]), body, now).unwrap();
        }
    }
}

fn our_verdict(case: &Case) -> Verdict {
    let secret = SecretString::from(case.secret.as_str());
    // A secret that is refused at the start accepts nothing.
    let Ok(scheme) = StripeScheme::new(vec![secret], Duration::from_secs(case.tolerance_seconds)) else {
        return Verdict::Reject;
    };
    match scheme.verify(&headers(&case.lines), &case.body, UnixMillis(case.now_millis)) {
        Ok(_) => Verdict::Accept,
        Err(_) => Verdict::Reject,
    }
}

/// Each line one header; a character is one byte, as the SDKs' web frameworks read it.
fn headers(lines: &[String]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let bytes: Vec<u8> = line.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
        headers.append("stripe-signature", HeaderValue::from_bytes(&bytes).unwrap());
    }
    headers
}

fn known(sdk: Sdk, case: &Case, ours: Verdict, theirs: Verdict) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|listed| {
        listed.sdk == sdk && listed.ours == ours && listed.theirs == theirs && (listed.applies)(case)
    })
}

fn some(rows: &[String]) -> String {
    rows.iter().take(10).cloned().collect::<Vec<_>>().join("\n")
}
