//! A worker: takes calls one after another and runs the plugin's `handle` on each.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use super::{CallState, Child, table};
use crate::library::Instance;
use crate::protocol::{FrameError, FromChild};

/// Works until the queue is closed. An error is the daemon's end of the link: nobody is left to answer to.
pub(crate) fn work(
    child: &Child,
    instance: &Instance,
    queue: &Mutex<Receiver<Arc<CallState>>>,
) -> Result<(), FrameError> {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(call) = next else { return Ok(()) };
        let outcome = table::handle(instance, &call);
        let id = call.wire.call;
        child.calls.end(id);
        child.link.send(&FromChild::Ended { call: id, outcome, detail: call.take_detail() })?;
    }
}
