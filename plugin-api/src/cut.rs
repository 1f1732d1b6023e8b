//! Where the test kit cuts a delivery short, as a crash would: its host marks the call, and the SDK unwinds from there, so
//! that no more of the handler's own code runs. Outside of the test kit nothing is ever marked.

use std::cell::Cell;
use std::panic::resume_unwind;

thread_local! {
    static MARKED: Cell<bool> = const { Cell::new(false) };
}

/// The host function that is running ends in a crash.
pub(crate) fn mark() {
    MARKED.set(true);
}

/// Unwinds where the host function that was just called is marked. No panic hook speaks: this is no fault.
pub(crate) fn here() {
    if MARKED.replace(false) {
        resume_unwind(Box::new("the test kit's crash"));
    }
}
