//! The memory that the answers of one handler's requests hold together, from their first byte until the child is given them.
//!
//! A request is begun only while there is room for the largest answer; what comes in meanwhile for others may still take that
//! room, and the answer that then finds none is not kept.

use std::sync::Arc;

use hookyard_plugin_host::protocol::HTTP_ANSWER_BODY_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::limits::HTTP_ANSWERS_BYTES_MAX;

/// The room of one handler, in bytes.
#[derive(Debug)]
pub(super) struct Room(Arc<Semaphore>);

/// What one answer takes of it, given back when this is dropped.
#[derive(Debug)]
pub(in crate::host) struct Held(OwnedSemaphorePermit);

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(HTTP_ANSWERS_BYTES_MAX)))
    }

    /// Nothing yet, where the largest answer has room.
    pub(super) fn begin(&self) -> Option<Held> {
        (self.left() >= HTTP_ANSWER_BODY_BYTES_MAX).then(|| self.nothing()).flatten()
    }

    /// Nothing yet, whatever is left.
    pub(super) fn nothing(&self) -> Option<Held> {
        Arc::clone(&self.0).try_acquire_many_owned(0).ok().map(Held)
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.0.available_permits()
    }
}

impl Held {
    /// Takes so much more. `false`, and nothing taken, where there is no room.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let more = u32::try_from(bytes).ok();
        let more = more.and_then(|more| Arc::clone(self.0.semaphore()).try_acquire_many_owned(more).ok());
        more.map(|more| self.0.merge(more)).is_some()
    }
}
