//! The calls that are running. A plugin is handed a number dressed as a pointer, so one that it uses after its call has
//! ended is refused instead of followed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::deadline::Deadline;
use super::http::Pairs;
use crate::protocol::{Call, Detail};

/// All that one call may have lent to it: memos, values and keys, many times what the store keeps for one event, and a few
/// answers of the largest kind.
const ARENA_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The running calls, by id.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<HashMap<u64, Arc<CallState>>>);

/// One running call.
#[derive(Debug)]
pub(crate) struct CallState {
    pub(crate) wire: Call,
    deadline: Deadline,
    cancelled: AtomicBool,
    detail: Mutex<Detail>,
    pub(crate) arena: Arena,
}

/// Bytes lent to the plugin. Each stays where it is until the arena is dropped or closed.
#[derive(Debug, Default)]
pub(crate) struct Arena(Mutex<Lent>);

#[derive(Debug, Default)]
struct Lent {
    blocks: Vec<Box<[u8]>>,
    pairs: Vec<Pairs>,
    bytes: usize,
    closed: bool,
}

impl Calls {
    /// Begins a call.
    pub(crate) fn begin(&self, wire: Call) -> Arc<CallState> {
        let call = Arc::new(CallState {
            deadline: Deadline::start(Duration::from_millis(wire.remaining_ms)),
            wire,
            cancelled: AtomicBool::new(false),
            detail: Mutex::default(),
            arena: Arena::default(),
        });
        self.lock().insert(call.wire.call, Arc::clone(&call));
        call
    }

    /// The call, if it is running.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<CallState>> {
        self.lock().get(&id).map(Arc::clone)
    }

    /// The call has ended: its id means nothing any more.
    pub(crate) fn end(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// No time is left for this call.
    pub(crate) fn cancel(&self, id: u64) {
        if let Some(call) = self.get(id) {
            call.cancelled.store(true, Ordering::SeqCst);
        }
    }

    /// No time is left for any call.
    pub(crate) fn cancel_all(&self) {
        for call in self.lock().values() {
            call.cancelled.store(true, Ordering::SeqCst);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<CallState>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallState {
    /// What is left of the call's time; zero from its cancellation on.
    pub(crate) fn remaining(&self) -> Duration {
        if self.cancelled.load(Ordering::SeqCst) { Duration::ZERO } else { self.deadline.remaining() }
    }

    /// Keeps what the plugin explains; the last one counts.
    pub(crate) fn explain(&self, detail: Detail) {
        *self.detail.lock().unwrap_or_else(PoisonError::into_inner) = detail;
    }

    /// Takes what the plugin explained.
    pub(crate) fn take_detail(&self) -> Detail {
        std::mem::take(&mut *self.detail.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Arena {
    /// Keeps the bytes and tells where they stand, and how many they are; `None` above the limit, or when closed.
    pub(crate) fn lend(&self, bytes: Vec<u8>) -> Option<(*const u8, usize)> {
        let mut lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !lent.takes(bytes.len()) {
            return None;
        }
        let block = bytes.into_boxed_slice();
        let place = (block.as_ptr(), block.len());
        lent.blocks.push(block);
        Some(place)
    }

    /// Keeps pairs of that many bytes; `false` above the limit, or when closed.
    pub(super) fn keep(&self, pairs: Pairs, bytes: usize) -> bool {
        let mut lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let takes = lent.takes(bytes);
        if takes {
            lent.pairs.push(pairs);
        }
        takes
    }

    /// Ends the lending: the blocks are gone, and no more are lent.
    pub(crate) fn close(&self) {
        let mut lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *lent = Lent { closed: true, ..Lent::default() };
    }
}

impl Lent {
    /// Whether so many bytes more are lent; counts them if so.
    fn takes(&mut self, bytes: usize) -> bool {
        let takes = !self.closed && self.bytes.saturating_add(bytes) <= ARENA_BYTES_MAX;
        if takes {
            self.bytes += bytes;
        }
        takes
    }
}
