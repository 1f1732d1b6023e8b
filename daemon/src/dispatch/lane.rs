//! What the loops of one handler share: how many attempts may run at once, and which run.
//!
//! A reload that changes a handler starts a new loop beside the one that finishes what it began, and gives back what it had
//! only leased. Both hold the same lane, so the handler's concurrency is kept across the change, and neither leases what the
//! other has under way.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::model::ids::EventId;

/// One handler's share of the work, whichever of its loops does it.
#[derive(Debug, Clone)]
pub struct Lane {
    pub(super) permits: Arc<Semaphore>,
    /// The events of attempts under way: never leased again meanwhile, whatever the wall clock says.
    pub(super) under_way: Arc<Mutex<BTreeSet<EventId>>>,
    width: Arc<Mutex<usize>>,
}

impl Lane {
    /// A lane for `width` attempts at once.
    pub fn new(width: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(width)),
            under_way: Arc::default(),
            width: Arc::new(Mutex::new(width)),
        }
    }

    /// Makes it as wide as this. Where it becomes narrower, attempts under way finish, and no more begin until there are
    /// few enough. Called inside a runtime.
    pub fn resize(&self, width: usize) {
        let mut current = self.width.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, width);
        if width >= before {
            self.permits.add_permits(width - before);
            return;
        }
        let used = (before - width) - self.permits.forget_permits(before - width);
        if let Ok(used) = u32::try_from(used)
            && used > 0
        {
            let permits = Arc::clone(&self.permits);
            tokio::spawn(async move {
                if let Ok(returned) = permits.acquire_many(used).await {
                    returned.forget();
                }
            });
        }
    }

    /// How many attempts may run at once, once those beyond it have ended.
    pub(super) fn width(&self) -> usize {
        *self.width.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn events_under_way(&self) -> BTreeSet<EventId> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn free(lane: &Lane) -> usize {
        // A task that waits for permits to forget has had its turn.
        tokio::task::yield_now().await;
        lane.permits.available_permits()
    }

    #[tokio::test]
    async fn a_lane_becomes_wider_at_once_and_narrower_as_attempts_end() {
        let lane = Lane::new(3);
        let running = Arc::clone(&lane.permits).acquire_many_owned(3).await.unwrap();
        lane.resize(5);
        assert_eq!(free(&lane).await, 2);
        lane.resize(1);
        assert_eq!(free(&lane).await, 0);
        drop(running);
        assert_eq!(free(&lane).await, 1);
        lane.resize(1);
        assert_eq!(free(&lane).await, 1);
    }

    #[tokio::test]
    async fn a_lane_that_is_narrowed_and_widened_again_ends_at_its_width() {
        let lane = Lane::new(4);
        let running = Arc::clone(&lane.permits).acquire_many_owned(4).await.unwrap();
        lane.resize(1);
        assert_eq!(free(&lane).await, 0);
        lane.resize(4);
        assert_eq!(free(&lane).await, 0, "what is to be forgotten comes first");
        drop(running);
        assert_eq!(free(&lane).await, 4);
    }
}
