//! One instance's state: the link to the daemon, the calls that are running, and the table of functions that the plugin
//! calls. A child process has one of it; the daemon has one for each plugin that runs inside it. The functions of the table
//! find it by `registry`, without trusting a pointer that the plugin hands back.

mod calls;
mod deadline;
#[expect(unsafe_code, reason = "a function that the plugin calls, and what it is handed")]
mod http;
mod link;
mod registry;
#[expect(unsafe_code, reason = "the functions that the plugin calls, and what they are handed")]
mod table;
mod worker;

use std::sync::Arc;

use hookyard_plugin::abi;

pub(crate) use calls::{CallState, Calls};
pub(crate) use link::Link;
pub use link::Listener;
use registry::{CHILDREN, Number};
pub(crate) use table::HOST;
pub use worker::Busy;
pub(crate) use worker::{calls_waiting_max, enqueue, work};

/// One instance, from before its library is loaded until it is destroyed.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) link: Link,
    pub(crate) calls: Calls,
    /// The lowest log level that is kept.
    pub(crate) level: u32,
    /// What is lent to the plugin while it is created.
    creating: calls::Arena,
    number: Number,
}

impl Child {
    /// One that the plugin's functions find from now on.
    pub(crate) fn begin(link: Link, level: u32) -> Arc<Self> {
        let number = Number::next();
        let child = Self { link, calls: Calls::default(), level, creating: calls::Arena::default(), number };
        let child = Arc::new(child);
        CHILDREN.enter(number, Arc::clone(&child));
        child
    }

    /// What the plugin knows it by: not NULL, and nothing.
    pub(crate) fn ctx(&self) -> *mut abi::Ctx {
        self.number.pointer()
    }

    /// Ends what was lent during creation; nothing more is lent outside of a call.
    pub(crate) fn created(&self) {
        self.creating.close();
    }

    /// The instance is destroyed: its `ctx` means nothing any more, and the daemon hears nothing more of it.
    pub(crate) fn end(&self) {
        CHILDREN.leave(self.number);
        self.link.close();
    }
}
