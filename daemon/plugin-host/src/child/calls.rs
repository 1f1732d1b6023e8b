//! The calls of one instance that are running: by the daemon's ids here, by what the plugin was handed in `registry`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookyard_plugin::abi;

use super::Child;
use super::deadline::Deadline;
use super::http::Pairs;
use super::registry::{CALLS, Number};
use crate::protocol::{Ask, Call, Detail, Reply};

/// All that one call may have lent to it: memos, values and keys, many times what the store keeps for one event, and a few
/// answers of the largest kind.
const ARENA_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The running calls, by the daemon's ids.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<HashMap<u64, Arc<CallState>>>);

/// One running call.
#[derive(Debug)]
pub(crate) struct CallState {
    pub(crate) wire: Call,
    /// Whose call it is.
    pub(crate) child: Arc<Child>,
    number: Number,
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
    /// No time is left for this call.
    pub(crate) fn cancel(&self, id: u64) {
        if let Some(call) = self.lock().get(&id) {
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
    /// Begins a call of this instance.
    pub(crate) fn begin(child: &Arc<Child>, wire: Call) -> Arc<Self> {
        let (id, number) = (wire.call, Number::next());
        let call = Arc::new(Self {
            deadline: Deadline::start(Duration::from_millis(wire.remaining_ms)),
            wire,
            child: Arc::clone(child),
            number,
            cancelled: AtomicBool::new(false),
            detail: Mutex::default(),
            arena: Arena::default(),
        });
        child.calls.lock().insert(id, Arc::clone(&call));
        CALLS.enter(number, Arc::clone(&call));
        call
    }

    /// What the plugin knows it by.
    pub(super) fn pointer(&self) -> *mut abi::Call {
        self.number.pointer()
    }

    /// The call has ended: what the plugin was handed means nothing any more.
    pub(crate) fn end(&self) {
        CALLS.leave(self.number);
        self.child.calls.lock().remove(&self.wire.call);
    }

    /// What is left of the call's time; zero from its cancellation on.
    pub(crate) fn remaining(&self) -> Duration {
        if self.cancelled.load(Ordering::SeqCst) { Duration::ZERO } else { self.deadline.remaining() }
    }

    /// Asks the daemon for this call, and waits.
    pub(super) fn ask(&self, ask: Ask) -> Reply {
        self.child.link.ask(Some(self.wire.call), ask)
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
