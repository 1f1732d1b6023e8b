//! The newest events, whole, in memory: routing and dispatch ask for an event moments after it came.
//!
//! The writer puts an event in when it takes it; nobody can ask for it before its commit is on disk, because what leads to
//! it (its mark, its delivery) is not seen before. What is not here is read from the rows. A crash costs nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::event::Event;
use crate::model::ids::EventId;
use crate::model::limits::RECENT_EVENTS_BYTES_MAX;

/// About what an event takes beside its body.
const BESIDE_BODY_BYTES: usize = 1024;

/// The newest events, as many as fit.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Ids grow, so the first is the oldest.
    events: BTreeMap<EventId, Arc<Event>>,
    bytes: usize,
}

impl Recent {
    pub(super) fn put(&self, event: Event) {
        let mut inner = self.lock();
        inner.bytes += bytes(&event);
        inner.events.insert(event.id, Arc::new(event));
        while inner.bytes > RECENT_EVENTS_BYTES_MAX
            && let Some((_, oldest)) = inner.events.pop_first()
        {
            inner.bytes -= bytes(&oldest);
        }
    }

    /// An event that is here is another now.
    pub(super) fn replace(&self, event: Event) {
        let mut inner = self.lock();
        if let Some(before) = inner.events.get(&event.id).map(|event| bytes(event)) {
            inner.bytes = inner.bytes - before + bytes(&event);
            inner.events.insert(event.id, Arc::new(event));
        }
    }

    pub(super) fn get(&self, id: EventId) -> Option<Arc<Event>> {
        self.lock().events.get(&id).cloned()
    }

    /// Rows were changed behind its back.
    #[cfg(test)]
    pub(super) fn forget(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(event: &Event) -> usize {
    event.envelope.body.len() + BESIDE_BODY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::bench::{body, with_body};

    #[test]
    fn the_oldest_give_way() {
        let recent = Recent::default();
        let id = |number: u64| EventId::from_parts(number, 0);
        let half = RECENT_EVENTS_BYTES_MAX / 2;
        for number in 1..=3 {
            recent.put(Event { id: id(number), envelope: with_body("key", body(half - BESIDE_BODY_BYTES)) });
        }
        assert_eq!(recent.get(id(1)), None);
        assert_eq!(recent.get(id(2)).unwrap().id, id(2));
        assert_eq!(recent.get(id(3)).unwrap().envelope.body.len(), half - BESIDE_BODY_BYTES);
        recent.put(Event { id: id(4), envelope: with_body("key", body(RECENT_EVENTS_BYTES_MAX)) });
        assert_eq!((recent.get(id(3)), recent.get(id(4))), (None, None), "what does not fit is not kept");
    }
}
