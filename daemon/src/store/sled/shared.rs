//! What the store's threads and their callers both see: the store's health and its wake-ups.
//!
//! The writer says how it stands; callers hear it when a job of theirs is dropped. `Failed` and `Closed` are final. A
//! writer that hangs cannot say so: whoever asks for the health finds it out by the clock.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::model::clock::Stopwatch;
use crate::store::wake::Wakes;
use crate::store::{Health, StoreError};

/// A thread of the store's that may hang.
#[derive(Debug, Clone, Copy)]
pub(super) enum Worker {
    Writer,
    Applier,
}

/// What the threads and the callers both see.
#[derive(Debug)]
pub(super) struct Shared {
    health: watch::Sender<Health>,
    /// Each runs while that thread is at work.
    busy: Mutex<[Option<Stopwatch>; 2]>,
    /// Work that takes longer has hung.
    pub(super) stall_max: Duration,
    pub(super) wakes: Wakes,
}

impl Shared {
    pub(super) fn new(stall_max: Duration) -> Self {
        Self {
            health: watch::Sender::new(Health::Ready),
            busy: Mutex::default(),
            stall_max,
            wakes: Wakes::default(),
        }
    }

    /// How the store stands. A thread that hangs, as sled may, is found out here: it can tell nobody itself.
    pub(super) fn health(&self) -> Health {
        let busy = *self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = busy.into_iter().flatten().map(Stopwatch::elapsed).max();
        if let Some(took) = longest.filter(|took| *took > self.stall_max) {
            self.set(Health::Failed { why: format!("a commit has hung for {} s", took.as_secs()) });
        }
        self.health.borrow().clone()
    }

    pub(super) fn set_busy(&self, worker: Worker, busy: Option<Stopwatch>) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)[worker as usize] = busy;
    }

    /// Why nothing more is written; for callers whose job was dropped. The writer drops jobs only on its way out, and
    /// says so last of all: this waits for it.
    pub(super) async fn refusal(&self) -> StoreError {
        let mut health = self.health.subscribe();
        match health.wait_for(is_final).await.as_deref() {
            Ok(Health::Failed { why }) => StoreError::Failed { why: why.clone() },
            Ok(_) | Err(_) => StoreError::Closed,
        }
    }

    /// A final state stays.
    pub(super) fn set(&self, health: Health) {
        self.health.send_if_modified(|standing| {
            let changes = !is_final(standing) && *standing != health;
            if changes {
                *standing = health;
            }
            changes
        });
    }
}

fn is_final(health: &Health) -> bool {
    matches!(health, Health::Failed { .. } | Health::Closed)
}
