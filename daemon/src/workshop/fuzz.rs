//! Events that no provider sends, handed to one plugin in a real child process: what does it die of, hang at or panic over?
//!
//! Each event is made from the author's own and one number, its seed, and nothing else: the same seed makes the same event on
//! any machine. What a plugin makes of such an event is its own affair; a dead letter is a good answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::Memory;
use super::rig::{Rig, Subject, attempt, is_answer, numbered};
use super::trial::{STOP_GRACE, TrialError};
use crate::model::attempt::Outcome;
use crate::model::clock::Stopwatch;
use crate::model::event::Event;

/// Changes to one event, at most: more of them make a heap of which nobody sees what mattered.
const CHANGES_MAX: usize = 4;
/// Of so many events one is no JSON any more.
const BYTES_EVERY: u64 = 8;
/// A text that no database's column takes.
const LONG_TEXT_BYTES: usize = 100_000;
/// Deeper than a provider nests, and as deep as serde_json reads.
const NESTED_DEEP: usize = 100;

/// How much is tried.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Of the first event; each next one has the next number.
    pub seed: u64,
    /// Zero: the first event alone.
    pub lasts: Duration,
    /// One attempt.
    pub timeout: Duration,
}

/// What was tried, up to the first finding.
#[derive(Debug)]
pub struct Fuzzed {
    pub events: u64,
    /// By the outcome's word.
    pub outcomes: BTreeMap<&'static str, u64>,
    pub finding: Option<Finding>,
}

/// An event that the plugin cannot bear.
#[derive(Debug)]
pub struct Finding {
    pub seed: u64,
    /// The outcome, and what is known of it.
    pub what: String,
    pub body: Bytes,
}

/// Hands over one event after the other until one is a finding, or the time is over.
pub async fn fuzz(subject: Subject, event: Event, effort: Effort) -> Result<Fuzzed, TrialError> {
    let rig = Rig::new(subject).map_err(TrialError::Folder)?;
    let memory = Arc::new(Memory::default());
    let services: Arc<Memory> = Arc::clone(&memory);
    let host = rig.host(services, 1, effort.timeout).await?;
    let watch = Stopwatch::start();
    let mut fuzzed = Fuzzed { events: 0, outcomes: BTreeMap::new(), finding: None };
    while fuzzed.finding.is_none() {
        let seed = effort.seed.wrapping_add(fuzzed.events);
        let mut event = numbered(&event, seed.into());
        event.envelope.body = mutated(&event.envelope.body, seed).into();
        let outcome = attempt(&host, &event, 1).await.outcome;
        memory.forget(event.id);
        fuzzed.events += 1;
        *fuzzed.outcomes.entry(outcome.word()).or_default() += 1;
        fuzzed.finding = unbearable(&outcome).map(|what| Finding { seed, what, body: event.envelope.body });
        if watch.elapsed() >= effort.lasts {
            break;
        }
    }
    host.stop(STOP_GRACE).await;
    Ok(fuzzed)
}

fn unbearable(outcome: &Outcome) -> Option<String> {
    (!is_answer(outcome)).then(|| format!("{}: {}", outcome.word(), outcome.message()))
}

/// The body that this seed makes of an author's own.
fn mutated(body: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    match serde_json::from_slice::<Value>(body) {
        Ok(mut json) if random.u64(0..BYTES_EVERY) > 0 => {
            for _ in 0..=random.usize(0..CHANGES_MAX) {
                change(&mut json, &mut random);
            }
            json.to_string().into_bytes()
        }
        _ => torn(body, &mut random),
    }
}

/// Changes one value somewhere in it.
fn change(json: &mut Value, random: &mut Rng) {
    let here = random.u8(0..4) == 0;
    match json {
        Value::Object(fields) if !fields.is_empty() && !here => change_field(fields, random),
        Value::Array(elements) if !elements.is_empty() && !here => {
            let at = random.usize(0..elements.len());
            match random.u8(0..3) {
                0 => drop(elements.remove(at)),
                1 => elements.push(elements[at].clone()),
                _ => change(&mut elements[at], random),
            }
        }
        value => *value = strange(random),
    }
}

fn change_field(fields: &mut Map<String, Value>, random: &mut Rng) {
    let at = random.usize(0..fields.len());
    let Some(key) = fields.keys().nth(at).cloned() else { return };
    match random.u8(0..5) {
        0 => drop(fields.remove(&key)),
        1 => {
            let value = fields.remove(&key).unwrap_or_default();
            fields.insert(key.to_uppercase(), value);
        }
        _ => {
            if let Some(value) = fields.get_mut(&key) {
                change(value, random);
            }
        }
    }
}

/// A value that code forgets.
fn strange(random: &mut Rng) -> Value {
    match random.u8(0..16) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(i64::MAX),
        5 => json!(u64::MAX),
        6 => json!(1e308),
        7 => json!(0.1),
        8 => json!(""),
        9 => json!("x".repeat(LONG_TEXT_BYTES)),
        10 => json!("\u{0}"),
        11 => json!("\u{202e}💥\u{feff}ß"),
        12 => json!("'; DROP TABLE users; --"),
        13 => json!([]),
        14 => json!({}),
        _ => (0..NESTED_DEEP).fold(Value::Null, |inner, _| json!([inner])),
    }
}

/// No JSON any more, most likely: cut, emptied, or with other bytes.
fn torn(body: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut torn = body.to_vec();
    match random.u8(0..3) {
        0 => torn.clear(),
        1 => torn.truncate(random.usize(0..=body.len())),
        _ => {
            for _ in 0..=random.usize(0..CHANGES_MAX) {
                let at = random.usize(0..=torn.len().saturating_sub(1));
                if let Some(byte) = torn.get_mut(at) {
                    *byte = random.u8(..);
                }
            }
        }
    }
    torn
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1","data":{"object":{"lines":[1,2,{"a":"b"}],"metadata":{"x":"y"}}}}"#;

    #[test]
    fn a_seed_makes_one_event_and_seeds_make_many() {
        let made: Vec<Vec<u8>> = (0..2_000).map(|seed| mutated(BODY, seed)).collect();
        assert!((0..2_000).all(|seed| mutated(BODY, seed) == made[seed as usize]));
        let different: std::collections::BTreeSet<&Vec<u8>> = made.iter().collect();
        assert!(different.len() > 300, "{}", different.len());
        let broken = made.iter().filter(|body| serde_json::from_slice::<Value>(body).is_err()).count();
        assert!((50..500).contains(&broken), "{broken} are no JSON");
        assert_eq!(mutated(b"", 1), b"");
    }

    #[test]
    fn what_a_plugin_answers_is_no_finding_and_what_it_dies_of_is() {
        let detail = |code: &str| crate::model::attempt::Detail {
            code: code.to_owned(),
            message: "words".to_owned(),
            result: None,
        };
        assert_eq!(unbearable(&Outcome::Reject(detail("not_json"))), None);
        let panicked = Outcome::Retry { after: None, detail: detail("panic") };
        assert_eq!(unbearable(&panicked).as_deref(), Some("retry: words"));
        let crashed = Outcome::Crashed { what: "SIGSEGV".to_owned() };
        assert_eq!(unbearable(&crashed).as_deref(), Some("crashed: SIGSEGV"));
    }
}
