//! When requests are meant to be sent.
//!
//! Closed loop: as soon as a connection has its answer. Open loop: at a rate, whatever becomes of the answers; a request
//! that finds every connection busy waits, and its latency counts from the moment at which it was meant to leave
//! (no coordinated omission). A thread of its own gives the open loop its beat, because the runtime's timer is too coarse.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookyard::model::clock::Stopwatch;
use tokio::sync::Semaphore;

/// The beat sleeps at least this long: a shorter sleep costs a core more than it brings precision.
const BEAT_MIN: Duration = Duration::from_micros(100);

/// The open loop's moments, as durations since the start of the run.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    per_second: f64,
}

impl Rate {
    /// `per_second` is above 0.
    pub fn new(per_second: f64) -> Self {
        Self { per_second }
    }

    /// When request `index` is meant to leave.
    pub fn at(self, index: u64) -> Duration {
        Duration::from_secs_f64(index as f64 / self.per_second)
    }

    /// How many requests are meant to have left by then.
    pub fn due(self, elapsed: Duration) -> u64 {
        // One more than the whole periods: the first leaves at 0.
        (elapsed.as_secs_f64() * self.per_second) as u64 + 1
    }
}

/// Lets the open loop's requests go when they are due.
#[derive(Debug)]
pub struct Beat {
    due: Arc<Semaphore>,
    stopped: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Beat {
    /// Beats from now until `end`.
    pub fn start(rate: Rate, watch: Stopwatch, end: Duration) -> std::io::Result<Self> {
        let (due, stopped) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(false)));
        let (giving, stop) = (Arc::clone(&due), Arc::clone(&stopped));
        let thread = std::thread::Builder::new().name("beat".to_owned()).spawn(move || {
            let mut given = 0;
            while !stop.load(Ordering::Relaxed) {
                let elapsed = watch.elapsed().min(end);
                let owed = rate.due(elapsed);
                giving.add_permits(usize::try_from(owed - given).unwrap_or(0));
                given = owed;
                if elapsed == end {
                    break;
                }
                std::thread::sleep(rate.at(given).saturating_sub(watch.elapsed()).max(BEAT_MIN));
            }
        })?;
        Ok(Self { due, stopped, thread: Some(thread) })
    }

    /// One permit for each request that is due.
    pub fn due(&self) -> &Semaphore {
        &self.due
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only counts: it cannot panic with anything to tell.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_their_moments_and_not_before() {
        let rate = Rate::new(400.0);
        assert_eq!(rate.at(0), Duration::ZERO);
        assert_eq!(rate.at(400), Duration::from_secs(1));
        for index in [0, 1, 7, 399, 400, 123_456] {
            let at = rate.at(index) + Duration::from_nanos(1);
            assert_eq!(rate.due(at), index + 1, "request {index}");
        }
        assert_eq!(rate.due(Duration::from_micros(2_499)), 1);
    }

    #[tokio::test]
    async fn the_beat_gives_exactly_what_is_due_by_its_end() {
        let end = Duration::from_millis(50);
        let rate = Rate::new(10_000.0);
        let mut beat = Beat::start(rate, Stopwatch::start(), end).unwrap();
        beat.thread.take().unwrap().join().unwrap();
        assert_eq!(beat.due().available_permits() as u64, rate.due(end));
    }
}
