//! What came of the requests: counts by word, and latencies.
//!
//! A request belongs to the measured window by the moment at which it was meant to leave. The whole run is counted too,
//! so that the sums can be held against the server's own.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::connection::Answer;

/// Two minutes: beyond every time-out here.
const LATENCY_MICROS_MAX: u64 = 120_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// How many of what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub accepted: u64,
    pub duplicate: u64,
    /// Other answers by status; `error` where there was none.
    #[serde(flatten)]
    pub others: BTreeMap<String, u64>,
}

impl Counts {
    fn add(&mut self, answer: Answer) {
        let other = match answer {
            Answer::Accepted => return self.accepted += 1,
            Answer::Duplicate => return self.duplicate += 1,
            Answer::Ok => "ok".to_owned(),
            Answer::Refused(status) => status.to_string(),
            Answer::Failed => "error".to_owned(),
        };
        *self.others.entry(other).or_default() += 1;
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.accepted + self.duplicate + self.others.values().sum::<u64>()
    }
}

/// Latencies in microseconds.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

/// Their percentiles, as reports hold them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub mean: f64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub max: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, SIGNIFICANT_DIGITS);
        Self(histogram.expect("the bounds are in order"))
    }
}

impl Latencies {
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros);
    }

    /// Takes another's latencies too.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms here have the same bounds");
    }

    pub fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.0.value_at_quantile(quantile);
        Percentiles {
            count: self.0.len(),
            mean: self.0.mean(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: self.0.max(),
        }
    }
}

/// One finished request; moments are durations since the start of the run.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// When it was meant to leave.
    pub meant: Duration,
    /// When it left.
    pub sent: Duration,
    /// When its answer was there.
    pub answered: Duration,
    pub answer: Answer,
}

/// Everything counted in one run.
#[derive(Debug)]
pub struct Tally {
    pub window: std::ops::Range<Duration>,
    /// Of requests that were meant to leave within the window.
    pub counts: Counts,
    /// Of the whole run.
    pub whole_run: Counts,
    /// 2xx answers that came within the window.
    pub answered_in_window: u64,
    /// Of 2xx answers.
    pub latencies: Latencies,
    /// Of all others.
    pub refusals: Latencies,
    /// How much later than meant requests left.
    pub late: Latencies,
}

impl Tally {
    pub fn new(window: std::ops::Range<Duration>) -> Self {
        Self {
            window,
            counts: Counts::default(),
            whole_run: Counts::default(),
            answered_in_window: 0,
            latencies: Latencies::default(),
            refusals: Latencies::default(),
            late: Latencies::default(),
        }
    }

    pub fn add(&mut self, done: Done) {
        self.whole_run.add(done.answer);
        let good = matches!(done.answer, Answer::Accepted | Answer::Duplicate | Answer::Ok);
        if good && self.window.contains(&done.answered) {
            self.answered_in_window += 1;
        }
        if !self.window.contains(&done.meant) {
            return;
        }
        self.counts.add(done.answer);
        self.late.record(done.sent.saturating_sub(done.meant));
        let latency = done.answered.saturating_sub(done.meant);
        if good { self.latencies.record(latency) } else { self.refusals.record(latency) }
    }

    /// A request of the open loop that no connection was free for before the end: it took at least until then.
    pub fn add_unsent(&mut self, meant: Duration) {
        if self.window.contains(&meant) {
            self.latencies.record(self.window.end.saturating_sub(meant));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn latency_counts_from_when_it_was_meant() {
        let mut tally = Tally::new(millis(100)..millis(1000));
        let done = |meant, sent, answered, answer| Done {
            meant: millis(meant),
            sent: millis(sent),
            answered: millis(answered),
            answer,
        };
        tally.add(done(50, 60, 150, Answer::Accepted));
        tally.add(done(200, 500, 700, Answer::Accepted));
        tally.add(done(900, 900, 1100, Answer::Duplicate));
        tally.add(done(300, 300, 301, Answer::Refused(503)));
        tally.add_unsent(millis(600));
        assert_eq!((tally.counts.accepted, tally.counts.duplicate, tally.counts.sum()), (1, 1, 3));
        assert_eq!(tally.whole_run.sum(), 4);
        assert_eq!(tally.answered_in_window, 2, "those of 150 and 700 ms");
        let percentiles = tally.latencies.percentiles();
        assert_eq!(percentiles.count, 3);
        assert!((500_000..=500_500).contains(&percentiles.max), "{percentiles:?}");
        assert_eq!(tally.refusals.percentiles().count, 1);
        assert!(tally.late.percentiles().max >= 300_000);
    }
}
