//! What the bench's host remembers: the plain model of what hookyard's store keeps.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard};

use super::{Before, FarSide};
use crate::abi;

/// The memory of one bench.
#[derive(Debug)]
pub(super) struct State {
    secrets: BTreeMap<String, String>,
    pub(super) far_side: FarSide,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    kept: Kept,
    log: Vec<String>,
}

/// What outlives a delivery.
#[derive(Debug, Default, Clone)]
pub(super) struct Kept {
    /// By event id and step; `None` where it was begun and not ended.
    steps: BTreeMap<(String, String), Option<Vec<u8>>>,
    kv: BTreeMap<Vec<u8>, (Vec<u8>, u64)>,
}

impl State {
    pub(super) fn new(secrets: BTreeMap<String, String>) -> Self {
        Self { secrets, far_side: FarSide::default(), inner: Mutex::default() }
    }

    pub(super) fn secret(&self, name: &str) -> Option<&str> {
        self.secrets.get(name).map(String::as_str)
    }

    pub(super) fn step_begin(&self, event_id: &str, step: &str) -> (Before, Vec<u8>) {
        match self.inner().kept.steps.entry((event_id.to_owned(), step.to_owned())) {
            Entry::Vacant(place) => {
                place.insert(None);
                (Before::Run, Vec::new())
            }
            Entry::Occupied(place) => match place.get() {
                Some(memo) => (Before::Done, memo.clone()),
                None => (Before::Unsure, Vec::new()),
            },
        }
    }

    pub(super) fn step_end(&self, event_id: &str, step: &str, memo: &[u8]) {
        self.inner().kept.steps.insert((event_id.to_owned(), step.to_owned()), Some(memo.to_vec()));
    }

    pub(super) fn step_ended(&self, event_id: &str, step: &str) -> bool {
        matches!(self.inner().kept.steps.get(&(event_id.to_owned(), step.to_owned())), Some(Some(_)))
    }

    pub(super) fn make_unsure(&self, event_id: &str, step: &str) {
        self.inner().kept.steps.insert((event_id.to_owned(), step.to_owned()), None);
    }

    pub(super) fn kv_get(&self, key: &[u8]) -> Option<(Vec<u8>, u64)> {
        self.inner().kept.kv.get(key).cloned()
    }

    pub(super) fn kv_put(&self, key: &[u8], value: &[u8], expect_version: u64) -> abi::Status {
        let mut inner = self.inner();
        let version = inner.kept.kv.get(key).map_or(0, |(_, version)| *version);
        if expect_version != abi::EXPECT_ANYTHING && expect_version != version {
            return abi::E_CONFLICT;
        }
        inner.kept.kv.insert(key.to_vec(), (value.to_vec(), version + 1));
        abi::OK
    }

    /// A copy of what is kept now.
    pub(super) fn kept(&self) -> Kept {
        self.inner().kept.clone()
    }

    /// Goes back to what was kept then.
    pub(super) fn restore(&self, kept: &Kept) {
        self.inner().kept = kept.clone();
    }

    pub(super) fn log_line(&self, line: String) {
        self.inner().log.push(line);
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.inner().log.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock.
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
