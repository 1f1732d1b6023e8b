//! Numbers dressed as pointers: what a plugin is handed for its instance and for each of its calls. They are looked up here
//! and never followed, so one that is made up, or that means what has ended, is refused. The daemon may hold several
//! instances (`inline`), so the numbers are the process's: none means two things, and none comes a second time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookyard_plugin::abi;

use super::{CallState, Child};

/// Numbers start above the first page (Go's runtime stops at small numbers that look like pointers) and are aligned.
const FIRST: u64 = 4096;
const STRIDE: u64 = 16;

/// The instances of this process.
pub(super) static CHILDREN: Registry<Child> = Registry::new();
/// The calls of this process that are running.
pub(super) static CALLS: Registry<CallState> = Registry::new();

/// What a pointer is to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u64);

/// What numbers mean.
#[derive(Debug)]
pub(super) struct Registry<T>(Mutex<BTreeMap<Number, Arc<T>>>);

/// The instance behind the pointer; `None` where there is none (any more).
pub(super) fn child_of(ctx: *mut abi::Ctx) -> Option<Arc<Child>> {
    CHILDREN.get(Number::of(ctx)?)
}

/// The running call behind the pointer; `None` where there is none (any more).
pub(super) fn call_of(call: *mut abi::Call) -> Option<Arc<CallState>> {
    CALLS.get(Number::of(call)?)
}

impl Number {
    /// One that was never given.
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(FIRST);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The number, dressed.
    pub(super) fn pointer<T>(self) -> *mut T {
        std::ptr::without_provenance_mut((self.0 * STRIDE) as usize)
    }

    fn of<T>(pointer: *mut T) -> Option<Self> {
        let address = pointer.addr() as u64;
        address.is_multiple_of(STRIDE).then_some(Self(address / STRIDE))
    }
}

impl<T> Registry<T> {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The number means this from now on.
    pub(super) fn enter(&self, number: Number, what: Arc<T>) {
        self.lock().insert(number, what);
    }

    /// The number means nothing any more.
    pub(super) fn leave(&self, number: Number) {
        // What it meant is dropped after the lock.
        let meant = self.lock().remove(&number);
        drop(meant);
    }

    fn get(&self, number: Number) -> Option<Arc<T>> {
        self.lock().get(&number).map(Arc::clone)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Number, Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_means_one_thing_until_it_is_used_up() {
        let registry = Registry::new();
        let (one, other) = (Number::next(), Number::next());
        registry.enter(one, Arc::new("one"));
        registry.enter(other, Arc::new("other"));
        let behind = |pointer: *mut u8| registry.get(Number::of(pointer)?).map(|what| *what);
        assert_eq!((behind(one.pointer()), behind(other.pointer())), (Some("one"), Some("other")));
        assert_eq!(behind(one.pointer::<u8>().wrapping_add(8)), None, "beside it");
        assert_eq!(behind(std::ptr::null_mut()), None);
        registry.leave(one);
        assert_eq!((behind(one.pointer()), behind(other.pointer())), (None, Some("other")));
        assert!(Number::next() > other, "none comes a second time");
    }
}
