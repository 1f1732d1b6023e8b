//! What a host counts of its calls and its children, for metrics: since it was made, so a reload begins anew.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Report;

/// The upper ends of the buckets that calls are counted in: from a plugin that does nothing to the default timeout.
const BUCKETS: [Duration; 14] = [
    Duration::from_micros(100),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// Counted while calls end.
#[derive(Debug, Default)]
pub(super) struct Counters {
    buckets: [AtomicU64; BUCKETS.len()],
    micros: AtomicU64,
    /// By outcome, and by what a child died of: one call or death at a time, and a look now and then.
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    outcomes: BTreeMap<&'static str, u64>,
    deaths: BTreeMap<String, u64>,
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls by their outcome's word.
    pub outcomes: BTreeMap<String, u64>,
    /// Children by what they died of: a signal's name, `exit`, `breach`, `hang`.
    pub deaths: BTreeMap<String, u64>,
    /// How many calls took at most so long.
    pub within: Vec<(Duration, u64)>,
    /// How long all calls took together.
    pub took: Duration,
}

impl Counters {
    pub(super) fn call(&self, report: &Report) {
        if let Some(bucket) = BUCKETS.iter().position(|upper| report.duration <= *upper) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(report.duration.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        *words.outcomes.entry(report.outcome.word()).or_default() += 1;
    }

    pub(super) fn death(&self, of: String) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        *words.deaths.entry(of).or_default() += 1;
    }

    pub(super) fn figures(&self) -> Figures {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = 0;
        let within = BUCKETS.iter().zip(&self.buckets).map(|(upper, count)| {
            sum += count.load(Ordering::Relaxed);
            (*upper, sum)
        });
        Figures {
            outcomes: words.outcomes.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect(),
            deaths: words.deaths.clone(),
            within: within.collect(),
            took: Duration::from_micros(self.micros.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::{Detail, Outcome};

    #[test]
    fn calls_are_counted_by_outcome_and_by_how_long_they_took() {
        let counters = Counters::default();
        for millis in [0, 3, 3, 200, 90_000] {
            let outcome = Outcome::Done(Detail::default());
            counters.call(&Report { outcome, log: Vec::new(), duration: Duration::from_millis(millis) });
        }
        counters.death("SIGSEGV".to_owned());
        let figures = counters.figures();
        assert_eq!(figures.outcomes, BTreeMap::from([("done".to_owned(), 5)]));
        assert_eq!(figures.deaths, BTreeMap::from([("SIGSEGV".to_owned(), 1)]));
        let within =
            |millis| figures.within.iter().find(|(upper, _)| *upper == Duration::from_millis(millis));
        assert_eq!([1, 5, 250].map(|millis| within(millis).unwrap().1), [1, 3, 4]);
        assert_eq!(figures.within.last().unwrap().1, 4, "what took longer than any bucket is in none");
        assert_eq!(figures.took, Duration::from_millis(90_206));
    }
}
