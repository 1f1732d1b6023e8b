//! One call of `handle` on the bench: what it asked for and said, and where it is cut short.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::StepSeen;
use super::state::State;
use crate::abi::{self, Bytes, Pair, Status};
use crate::cut;

/// One call: what `hookyard_call` points at.
pub(super) struct Call<'a> {
    pub(super) state: &'a State,
    pub(super) event_id: &'a str,
    pub(super) remaining: Duration,
    seen: Mutex<Seen>,
    fate: Mutex<Fate>,
}

/// Where the call is cut short, as a crash would.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Lives,
    /// After this many moments; each host call has one before its effect and one after.
    Crashes {
        moments: usize,
    },
    Crashed,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) steps: Vec<StepSeen>,
    pub(super) log: Vec<String>,
    pub(super) retry_after_ms: u64,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) result: String,
    /// What was lent to the plugin. A Vec's heap block stays where it is when this one grows.
    arena: Vec<Vec<u8>>,
    pairs: Vec<Vec<Pair>>,
}

impl<'a> Call<'a> {
    /// A call that is cut short after this many moments, or never.
    pub(super) fn new(
        state: &'a State,
        event_id: &'a str,
        remaining: Duration,
        crash_at: Option<usize>,
    ) -> Self {
        let fate = crash_at.map_or(Fate::Lives, |moments| Fate::Crashes { moments });
        Self { state, event_id, remaining, seen: Mutex::default(), fate: Mutex::new(fate) }
    }

    /// Whether it was cut short.
    pub(super) fn has_crashed(&self) -> bool {
        matches!(*self.fate(), Fate::Crashed)
    }

    pub(super) fn into_seen(self) -> Seen {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// One host call with its effect. Nothing has an effect any more once the call has crashed.
    pub(super) fn ask(&self, effect: impl FnOnce() -> Status) -> Status {
        if self.moment() {
            cut::mark();
            return abi::E_CANCELLED;
        }
        let status = effect();
        if self.moment() {
            cut::mark();
        }
        status
    }

    /// The same for a host call without a status, which a plugin that is unwinding may make once more.
    pub(super) fn tell(&self, effect: impl FnOnce()) {
        if self.has_crashed() {
            return;
        }
        self.ask(|| {
            effect();
            abi::OK
        });
    }

    /// One moment passes: whether the call has crashed by now.
    fn moment(&self) -> bool {
        let mut fate = self.fate();
        match *fate {
            Fate::Lives => return false,
            Fate::Crashed | Fate::Crashes { moments: 0 } => *fate = Fate::Crashed,
            Fate::Crashes { moments } => *fate = Fate::Crashes { moments: moments - 1 },
        }
        matches!(*fate, Fate::Crashed)
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the bytes until the call ends, and lends them.
    pub(super) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        let lent = Bytes::of(&bytes);
        self.seen().arena.push(bytes);
        lent
    }

    /// Keeps the pairs until the call ends, and lends them: where they begin, and how many they are.
    pub(super) fn lend_pairs(&self, pairs: Vec<Pair>) -> (*const Pair, usize) {
        let lent = (pairs.as_ptr(), pairs.len());
        self.seen().pairs.push(pairs);
        lent
    }

    pub(super) fn key(&self, step: &str) -> String {
        format!("key-of-{}-{step}", self.event_id)
    }
}
