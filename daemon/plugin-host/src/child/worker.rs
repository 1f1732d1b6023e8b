//! The workers: each takes calls one after another and runs the plugin's `handle` on them. Calls wait in a queue that is
//! short: the daemon knows how many there may be.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use hookyard_plugin::abi;

use super::{CallState, Child, table};
use crate::library::Instance;
use crate::protocol::{Call, Detail, FrameError, FromChild, Start};

/// A call that found no place: it has ended already, so.
#[derive(Debug)]
pub struct Busy {
    pub call: u64,
    /// One of the ABI's outcomes: it is to be tried again.
    pub outcome: i32,
    pub detail: Detail,
}

/// Twice the workers: the daemon sends no more than that, and a call that cannot wait is answered at once.
pub(crate) fn calls_waiting_max(start: &Start) -> usize {
    2 * usize::from(start.workers.max(1))
}

/// Queues a call, where there is a queue still and a place in it; never waits.
pub(crate) fn enqueue(
    child: &Arc<Child>,
    queue: Option<&SyncSender<Arc<CallState>>>,
    call: Call,
) -> Result<(), Busy> {
    let call = CallState::begin(child, call);
    if queue.is_some_and(|queue| queue.try_send(Arc::clone(&call)).is_ok()) {
        return Ok(());
    }
    call.end();
    let message = "every worker is busy, or the host is stopping".to_owned();
    let detail = Detail { code: "busy".to_owned(), message, ..Detail::default() };
    Err(Busy { call: call.wire.call, outcome: abi::RETRY, detail })
}

/// Works until the queue is closed. An error is the daemon's end of the link: nobody is left to answer to.
pub(crate) fn work(instance: &Instance, queue: &Mutex<Receiver<Arc<CallState>>>) -> Result<(), FrameError> {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(call) = next else { return Ok(()) };
        let outcome = table::handle(instance, &call);
        call.end();
        call.child.link.send(FromChild::Ended {
            call: call.wire.call,
            outcome,
            detail: call.take_detail(),
        })?;
    }
}
