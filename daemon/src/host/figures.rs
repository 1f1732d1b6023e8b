//! What a host counts of its calls, its HTTP requests and its children, for metrics: since it was made, so a reload begins anew.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Report;

/// The upper ends of the buckets that calls and requests are counted in: from a plugin that does nothing to the default timeout.
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

/// Counted while calls and requests end.
#[derive(Debug, Default)]
pub(super) struct Counters {
    calls: Timed,
    http: Timed,
    /// By outcome, by what a child died of, and by a request's status: one at a time, and a look now and then.
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    outcomes: BTreeMap<&'static str, u64>,
    deaths: BTreeMap<String, u64>,
    http: BTreeMap<String, u64>,
}

/// How long something took each time.
#[derive(Debug, Default)]
struct Timed {
    buckets: [AtomicU64; BUCKETS.len()],
    micros: AtomicU64,
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls by their outcome's word.
    pub outcomes: BTreeMap<String, u64>,
    /// Children by what they died of: a signal's name, `exit`, `breach`, `hang`.
    pub deaths: BTreeMap<String, u64>,
    /// HTTP requests by their status, or by why there was no answer.
    pub http: BTreeMap<String, u64>,
    pub call_times: Times,
    pub http_times: Times,
}

/// How long something took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// How many took at most so long.
    pub within: Vec<(Duration, u64)>,
    /// All of them together.
    pub sum: Duration,
}

impl Counters {
    pub(super) fn call(&self, report: &Report) {
        self.calls.took(report.duration);
        *self.words().outcomes.entry(report.outcome.word()).or_default() += 1;
    }

    /// A request ended with this status, or this word for why there was no answer.
    pub(super) fn http(&self, code: String, took: Duration) {
        self.http.took(took);
        *self.words().http.entry(code).or_default() += 1;
    }

    pub(super) fn death(&self, of: String) {
        *self.words().deaths.entry(of).or_default() += 1;
    }

    pub(super) fn figures(&self) -> Figures {
        let words = self.words();
        Figures {
            outcomes: words.outcomes.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect(),
            deaths: words.deaths.clone(),
            http: words.http.clone(),
            call_times: self.calls.times(),
            http_times: self.http.times(),
        }
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timed {
    fn took(&self, took: Duration) {
        if let Some(bucket) = BUCKETS.iter().position(|upper| took <= *upper) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn times(&self) -> Times {
        let mut sum = 0;
        let within = BUCKETS.iter().zip(&self.buckets).map(|(upper, count)| {
            sum += count.load(Ordering::Relaxed);
            (*upper, sum)
        });
        Times { within: within.collect(), sum: Duration::from_micros(self.micros.load(Ordering::Relaxed)) }
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
        counters.http("200".to_owned(), Duration::from_millis(7));
        let figures = counters.figures();
        assert_eq!(figures.outcomes, BTreeMap::from([("done".to_owned(), 5)]));
        assert_eq!(figures.deaths, BTreeMap::from([("SIGSEGV".to_owned(), 1)]));
        assert_eq!(figures.http, BTreeMap::from([("200".to_owned(), 1)]));
        assert_eq!(figures.http_times.sum, Duration::from_millis(7));
        let within = |millis| {
            figures.call_times.within.iter().find(|(upper, _)| *upper == Duration::from_millis(millis))
        };
        assert_eq!([1, 5, 250].map(|millis| within(millis).unwrap().1), [1, 3, 4]);
        assert_eq!(
            figures.call_times.within.last().unwrap().1,
            4,
            "what took longer than any bucket is in none"
        );
        assert_eq!(figures.call_times.sum, Duration::from_millis(90_206));
    }
}
