//! Keeps a panic inside the plugin: catches it, and keeps its words and place instead of printing them.
//!
//! The hook is the plugin's own (its copy of the standard library), and speaks up only for threads that are inside a
//! guarded call; others print to stderr as ever, which hookyard catches and logs.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static WORDS: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic becomes its words and place.
pub(crate) fn guard<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(install_hook);
    let outer = GUARDED.replace(true);
    // A handler's state after a panic is the host's concern: it retires the process.
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    result.map_err(|payload| {
        // A payload's own destructor may panic: leak it rather than unwind into C.
        std::mem::forget(payload);
        WORDS.take().unwrap_or_else(|| "a panic without words".to_owned())
    })
}

fn install_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if GUARDED.get() {
            WORDS.set(Some(words(info)));
        } else {
            before(info);
        }
    }));
}

fn words(info: &PanicHookInfo<'_>) -> String {
    let said = info.payload_as_str().unwrap_or("a panic without words");
    match info.location() {
        Some(place) => format!("{said} (at {}:{})", place.file(), place.line()),
        None => said.to_owned(),
    }
}
