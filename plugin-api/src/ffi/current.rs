//! Which host and which call this thread works for: what a line belongs to that a library logs without knowing of either.

use std::cell::Cell;

use super::host::{CallTable, HostTable};
use crate::Level;
use crate::abi;

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Current {
    host: *const HostTable,
    /// NULL outside of a call.
    call: *mut abi::Call,
}

/// Puts back what was there, also while a panic unwinds.
struct Restore(Option<Current>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Runs `work`, whose lines on this thread are the host's, and the call's where one is given.
pub(crate) fn within<T>(host: &HostTable, call: *mut abi::Call, work: impl FnOnce() -> T) -> T {
    let _restore = Restore(CURRENT.replace(Some(Current { host, call })));
    work()
}

/// Whether the host keeps lines of this level; `None` on a thread that works for none.
pub(crate) fn is_enabled(level: Level) -> Option<bool> {
    with(|host, _| host.is_enabled(level))
}

/// Logs through the host of this thread; `false` where it works for none.
pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) -> bool {
    let logged = with(|host, call| {
        let call: Option<CallTable<'_>> = (!call.is_null()).then(|| host.call(call));
        host.log(call, level, message, fields);
    });
    logged.is_some()
}

fn with<T>(work: impl FnOnce(&HostTable, *mut abi::Call) -> T) -> Option<T> {
    let Current { host, call } = CURRENT.get()?;
    // SAFETY: `within` was given a reference that lives until it returns, and what it set is gone by then; this runs inside
    // it, on its thread.
    Some(work(unsafe { &*host }, call))
}
