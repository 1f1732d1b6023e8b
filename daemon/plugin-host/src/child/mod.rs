//! The child's state: the link to the daemon, the calls that are running, and the table of functions that the plugin
//! calls. One plugin a process, so it is one static: the functions of the table find it without trusting a pointer that
//! the plugin hands back.

mod calls;
mod deadline;
#[expect(unsafe_code, reason = "a function that the plugin calls, and what it is handed")]
mod http;
mod link;
#[expect(unsafe_code, reason = "the functions that the plugin calls, and what they are handed")]
mod table;
mod worker;

use std::sync::OnceLock;

pub(crate) use calls::{CallState, Calls};
pub(crate) use link::Link;
pub(crate) use table::{HOST, ctx};
pub(crate) use worker::work;

/// The one child, set before the library is loaded.
static CHILD: OnceLock<Child> = OnceLock::new();

/// What this process is.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) link: Link,
    pub(crate) calls: Calls,
    /// The lowest log level that is kept.
    pub(crate) level: u32,
    /// What is lent to the plugin while it is created.
    creating: calls::Arena,
}

impl Child {
    /// Makes this process a child; `None` where it is one already.
    pub(crate) fn install(link: Link, level: u32) -> Option<&'static Self> {
        let child = Self { link, calls: Calls::default(), level, creating: calls::Arena::default() };
        CHILD.set(child).ok()?;
        CHILD.get()
    }

    /// Ends what was lent during creation; nothing more is lent outside of a call.
    pub(crate) fn created(&self) {
        self.creating.close();
    }
}
