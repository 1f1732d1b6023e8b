//! What the store's threads and their callers both see: the store's health and its wake-ups.
//!
//! The writer says how it stands; callers hear it when a job of theirs is dropped. `Failed` and `Closed` are final. A
//! writer that hangs cannot say so: whoever asks for the health finds it out by the clock.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::engine::Engine;
use crate::model::clock::Stopwatch;
use crate::store::step_key::StoreKey;
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
    /// What readers use: none while sled is not open yet, and none once closed.
    engine: watch::Sender<Option<Arc<Engine>>>,
    /// Known once sled is open.
    store_key: OnceLock<StoreKey>,
}

impl Shared {
    pub(super) fn new(stall_max: Duration) -> Self {
        Self {
            health: watch::Sender::new(Health::Loading),
            busy: Mutex::default(),
            stall_max,
            wakes: Wakes::default(),
            engine: watch::Sender::new(None),
            store_key: OnceLock::new(),
        }
    }

    /// Known from now on.
    pub(super) fn set_store_key(&self, key: StoreKey) {
        self.store_key.get_or_init(|| key);
    }

    /// For whoever has a step: it was given by the store, which knew its key by then.
    pub(super) fn store_key(&self) -> &StoreKey {
        self.store_key.get().expect("whoever has a step was given it by the store, once its key was known")
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

    /// sled is open, and everything that was taken before is settled.
    pub(super) fn set_loaded(&self, engine: Arc<Engine>) {
        self.set(Health::Ready);
        self.engine.send_replace(Some(engine));
    }

    /// What readers use; waits until sled is open.
    pub(super) async fn engine(&self) -> Result<Arc<Engine>, StoreError> {
        let (mut engines, mut health) = (self.engine.subscribe(), self.health.subscribe());
        loop {
            match self.health() {
                Health::Failed { why } => return Err(StoreError::Failed { why }),
                Health::Closed => return Err(StoreError::Closed),
                Health::Ready | Health::Full { .. } | Health::Loading => {}
            }
            if let Some(engine) = engines.borrow_and_update().clone() {
                return Ok(engine);
            }
            // Either sender lives as long as this.
            tokio::select! {
                _ = engines.changed() => {}
                _ = health.changed() => {}
            }
        }
    }

    /// What readers use, where sled is open.
    #[cfg(test)]
    pub(super) fn engine_now(&self) -> Option<Arc<Engine>> {
        self.engine.borrow().clone()
    }

    /// Takes the engine from the readers that come.
    pub(super) fn take_engine(&self) -> Option<Arc<Engine>> {
        self.engine.send_replace(None)
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
