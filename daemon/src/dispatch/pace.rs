//! How many deliveries a handler's loop holds: those that it works on, and as many ahead as are done in a moment.
//!
//! A lease takes a commit. A handler that is done sooner would stand idle meanwhile, so a few deliveries are leased before
//! there is a worker for them: what the handler, at the pace of its last calls, is done with in [`AHEAD`]. One that takes
//! seconds gets none ahead, and none waits behind it that another process, or a later start, could work on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::limits::{AHEAD, AHEAD_BYTES_MAX, AHEAD_MAX};

/// Shared by the loop and the deliveries that it holds.
#[derive(Debug)]
pub(super) struct Pace {
    concurrency: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    /// How long a call takes, and how many bytes it is given, lately.
    call: Option<(Duration, usize)>,
}

/// A delivery's place among those held; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Pace>);

impl Pace {
    pub(super) fn new(concurrency: usize) -> Arc<Self> {
        Arc::new(Self { concurrency, state: Mutex::default(), changed: Notify::new() })
    }

    /// Waits until more may be held, and says how many.
    pub(super) async fn room(&self) -> usize {
        loop {
            let changed = self.changed.notified();
            let room = self.room_now();
            if room > 0 {
                return room;
            }
            changed.await;
        }
    }

    /// Takes a place for one more.
    pub(super) fn hold(self: &Arc<Self>) -> Place {
        self.lock().held += 1;
        Place(Arc::clone(self))
    }

    /// A call took so long.
    pub(super) fn called(&self, took: Duration, bytes: usize) {
        let mut state = self.lock();
        state.call = Some(match state.call {
            Some((mean, mean_bytes)) => ((mean * 7 + took) / 8, (mean_bytes * 7 + bytes) / 8),
            None => (took, bytes),
        });
    }

    fn room_now(&self) -> usize {
        let state = self.lock();
        let ahead = state.call.map_or(0, |(took, bytes)| ahead(self.concurrency, took, bytes));
        (self.concurrency + ahead).saturating_sub(state.held)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().held -= 1;
        self.0.changed.notify_one();
    }
}

fn ahead(concurrency: usize, took: Duration, bytes: usize) -> usize {
    let rounds = AHEAD.as_micros() / took.as_micros().max(1);
    let calls = usize::try_from(rounds).unwrap_or(usize::MAX).saturating_mul(concurrency);
    calls.min(AHEAD_MAX).min(AHEAD_BYTES_MAX / bytes.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ahead_is_done_in_a_moment() {
        assert_eq!(ahead(8, Duration::from_millis(10), 4096), 80);
        assert_eq!(ahead(8, Duration::from_millis(60), 4096), 8);
        assert_eq!(ahead(8, Duration::from_millis(101), 4096), 0);
        assert_eq!(ahead(8, Duration::ZERO, 0), AHEAD_MAX);
        assert_eq!(ahead(8, Duration::ZERO, 1024 * 1024), AHEAD_BYTES_MAX / 1024 / 1024);
    }

    #[tokio::test]
    async fn nothing_is_ahead_of_a_handler_that_is_not_known() {
        let pace = Pace::new(2);
        assert_eq!(pace.room().await, 2);
        let (first, second) = (pace.hold(), pace.hold());
        assert_eq!(pace.room_now(), 0);
        pace.called(Duration::from_millis(50), 1);
        assert_eq!(pace.room_now(), 4);
        pace.called(Duration::from_secs(50), 1);
        assert_eq!(pace.room_now(), 0);
        drop(first);
        assert_eq!(pace.room().await, 1);
        drop(second);
        assert_eq!(pace.room_now(), 2);
    }
}
