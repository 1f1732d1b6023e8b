//! How fast one plugin is in a real child process: attempts one at a time, then many at once, each at an event of its own, so
//! that no step was finished before. The child is gone when the bench is.
//!
//! What is measured is the plugin and the way to it, not the store: its steps and pairs are kept in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::Memory;
use super::rig::{Rig, Subject, attempt, numbered};
use super::trial::{STOP_GRACE, TrialError};
use crate::host::Host;
use crate::model::clock::Stopwatch;
use crate::model::event::Event;

/// Attempts before anything is measured: the child's pages and pools are warm then.
const WARM_UP_ATTEMPTS: usize = 200;
/// Attempts whose times are kept; at more than any plugin makes in a minute the bench ends.
const ATTEMPTS_MAX: usize = 5_000_000;

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub ready: Duration,
    /// One attempt after the other.
    pub alone: Series,
    /// As many at once as the bench was told.
    pub together: Series,
    /// Of all measured attempts, by the outcome's word.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Of the child, before and after; `None` where the system does not tell.
    pub resident_bytes: Option<(u64, u64)>,
}

/// Attempts of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub attempts: usize,
    pub per_second: f64,
    /// The attempt in the middle, the slowest but one in a hundred, and the slowest.
    pub p50: Duration,
    pub p99: Duration,
    pub longest: Duration,
}

/// How long, and how many at once.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Each series.
    pub lasts: Duration,
    /// At least 1.
    pub at_once: usize,
    /// One attempt.
    pub timeout: Duration,
}

/// Measures a plugin with this event.
pub async fn bench(subject: Subject, event: Event, load: Load) -> Result<Measured, TrialError> {
    let rig = Rig::new(subject).map_err(TrialError::Folder)?;
    let watch = Stopwatch::start();
    let memory = Arc::new(Memory::default());
    let services: Arc<Memory> = Arc::clone(&memory);
    let host = rig.host(services, load.at_once, load.timeout).await?;
    let ready = watch.elapsed();
    let run = Arc::new(Run { host, memory, event, number: AtomicU64::new(1) });
    let mut outcomes = BTreeMap::new();
    for _ in 0..WARM_UP_ATTEMPTS {
        run.attempt().await;
    }
    let before = run.resident_bytes();
    let alone = run.series(1, load.lasts, &mut outcomes).await;
    let together = run.series(load.at_once, load.lasts, &mut outcomes).await;
    let resident_bytes = before.zip(run.resident_bytes());
    run.host.stop(STOP_GRACE).await;
    Ok(Measured { ready, alone, together, outcomes, resident_bytes })
}

#[derive(Debug)]
struct Run {
    host: Host,
    memory: Arc<Memory>,
    event: Event,
    /// Of the next event.
    number: AtomicU64,
}

impl Run {
    async fn attempt(&self) -> (&'static str, Duration) {
        let event = numbered(&self.event, self.number.fetch_add(1, Ordering::Relaxed).into());
        let report = attempt(&self.host, &event, 1).await;
        self.memory.forget(event.id);
        (report.outcome.word(), report.duration)
    }

    async fn series(
        self: &Arc<Self>,
        tasks: usize,
        lasts: Duration,
        outcomes: &mut BTreeMap<&'static str, u64>,
    ) -> Series {
        let watch = Stopwatch::start();
        let mut running = JoinSet::new();
        for _ in 0..tasks {
            let run = Arc::clone(self);
            running.spawn(async move {
                let mut made = Vec::new();
                while watch.elapsed() < lasts && made.len() < ATTEMPTS_MAX / tasks {
                    made.push(run.attempt().await);
                }
                made
            });
        }
        let made = running.join_all().await.concat();
        let took = watch.elapsed();
        for (outcome, _) in &made {
            *outcomes.entry(outcome).or_default() += 1;
        }
        Series::of(made.into_iter().map(|(_, took)| took).collect(), took)
    }

    fn resident_bytes(&self) -> Option<u64> {
        self.host.usage().map(|usage| usage.resident_bytes)
    }
}

impl Series {
    fn of(mut times: Vec<Duration>, took: Duration) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let last = times.len().saturating_sub(1);
            times.get(last * percent / 100).copied().unwrap_or_default()
        };
        Self {
            attempts: times.len(),
            per_second: times.len() as f64 / took.as_secs_f64(),
            p50: at(50),
            p99: at(99),
            longest: at(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_tells_its_middle_and_its_ends() {
        let times = (1..=201).rev().map(Duration::from_micros).collect();
        let series = Series::of(times, Duration::from_secs(2));
        let micros = [series.p50, series.p99, series.longest].map(|it| it.as_micros());
        assert_eq!((micros, series.attempts, series.per_second), ([101, 199, 201], 201, 100.5));
        assert_eq!(Series::of(Vec::new(), Duration::from_secs(1)).longest, Duration::ZERO);
    }
}
