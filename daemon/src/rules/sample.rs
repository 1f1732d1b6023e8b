//! `sample`: so many in a hundred of the events that a rule matches, always the same ones.
//!
//! Which ones is decided by a hash of the rule's name and the value at one path: a retry, a replay and another daemon
//! decide alike, and events with one value (of one customer, say) go one way. The hash must never change.

use sha2::{Digest, Sha256};

use super::evaluate::value_at;
use super::extract::Found;
use super::number::Number;
use super::path::Path;
use super::watch::Watched;
use crate::model::ids::RuleName;

/// A share of the values at one path.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    percent: f64,
    by: Path,
    at: Watched,
}

impl Sample {
    /// `percent` of the values at `by`, which is at `at` and holds at most one value.
    pub(super) fn new(percent: f64, by: Path, at: Watched) -> Self {
        Self { percent, by, at }
    }

    /// From 0, excluded, to 100.
    pub fn percent(&self) -> f64 {
        self.percent
    }

    /// Where the value stands.
    pub fn by(&self) -> &Path {
        &self.by
    }

    /// Whether the event is among those that `rule` takes. Without a string, number or boolean at the path it is not.
    pub fn takes(&self, rule: &RuleName, root: &Found<'_>) -> bool {
        value_at(&self.at, root).and_then(written).is_some_and(|value| {
            // Doubles from 0 to 1, evenly; 53 bits of the hash are all that a double holds.
            let place = (hash(rule, &value) >> 11) as f64 / (1_u64 << 53) as f64;
            place * 100.0 < self.percent
        })
    }
}

fn hash(rule: &RuleName, value: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(rule.as_str());
    hasher.update([0]);
    hasher.update(value);
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hasher.finalize());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// A value as text, one for every way to write it. Nothing else than a text has quotes around it.
fn written(found: &Found<'_>) -> Option<String> {
    match found {
        Found::String(text) => Some(format!("\"{text}\"")),
        Found::Bool(flag) => Some(flag.to_string()),
        Found::Number(Number::Integer(integer)) => Some(integer.to_string()),
        // Whole numbers are written without a point, as integers are.
        Found::Number(Number::Float(float)) => Some((float + 0.0).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Step, Watch, extract};

    fn sample(percent: f64) -> (Watch, Sample) {
        let mut watch = Watch::default();
        let (by, at) = watch.place(&[], &Path::new(vec![Step::Key("id".into())]));
        (watch, Sample::new(percent, by, at))
    }

    fn takes(percent: f64, rule: &str, event: &str) -> bool {
        let (watch, sample) = sample(percent);
        sample.takes(&RuleName::new(rule), &extract(&watch, event.as_bytes()).unwrap().root)
    }

    #[test]
    fn takes_its_share_and_always_the_same() {
        let taken = |rule: &str, percent: f64| -> Vec<usize> {
            (0..10_000).filter(|id| takes(percent, rule, &format!(r#"{{"id": "evt_{id}"}}"#))).collect()
        };
        let five = taken("canary", 5.0);
        assert!((400..600).contains(&five.len()), "{}", five.len());
        // As `sha256("canary\\0\"evt_24\"")` says.
        assert_eq!(five[..4], [24, 33, 43, 51], "the events of a sample never change");
        let ten = taken("canary", 10.0);
        assert!(five.iter().all(|id| ten.contains(id)), "a larger share holds the smaller one");
        assert_ne!(taken("another", 5.0), five, "another rule takes others");
        assert_eq!(taken("canary", 100.0).len(), 10_000);
    }

    #[test]
    fn by_a_scalar_and_nothing_else() {
        for event in ["{}", r#"{"id": null}"#, r#"{"id": []}"#, r#"{"id": {}}"#] {
            assert!(!takes(100.0, "r", event), "{event}");
        }
        for [left, right] in [["1", "1.0"], ["0", "-0.0"], ["10", "1e1"]] {
            let [left, right] = [left, right].map(|id| format!(r#"{{"id": {id}}}"#));
            for percent in [10.0, 30.0, 50.0, 70.0, 90.0] {
                assert_eq!(takes(percent, "r", &left), takes(percent, "r", &right), "{left} {right}");
            }
        }
    }
}
