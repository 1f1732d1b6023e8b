//! Where each handler's due rows begin: nothing of the queue stands before its head.
//!
//! A delivery that is taken leaves its due row removed, and until sled has that, thousands of such removals stand where the
//! queue begins; every lease would walk over them. Only the writer puts rows, so it knows: whoever walks from the start
//! moves the head on to the first row that is there, and a row that is put before it moves it back. A removal never needs
//! to be told: the head may stand too early, never too late. Memory only; after an open every queue begins at its start.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::keys;

/// By what the rows of a queue begin with: the smallest key that may be there.
#[derive(Debug, Default)]
pub(super) struct Heads(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Heads {
    /// Where a walk over the queue begins.
    pub(super) fn of(&self, queue: &[u8]) -> Vec<u8> {
        self.lock().get(queue).cloned().unwrap_or_else(|| queue.to_vec())
    }

    /// A walk from the head found nothing before `key`.
    pub(super) fn move_on(&self, queue: &[u8], key: &[u8]) {
        self.lock().insert(queue.to_vec(), key.to_vec());
    }

    /// A row is put, by this or any other key.
    pub(super) fn put(&self, key: &[u8]) {
        if key.first() != Some(&keys::DUE) {
            return;
        }
        let mut heads = self.lock();
        match keys::due_prefix_in(key) {
            Some(queue) => {
                if let Some(head) = heads.get_mut(queue).filter(|head| key < head.as_slice()) {
                    *head = key.to_vec();
                }
            }
            // It names no handler, so it may stand among anybody's.
            None => heads.clear(),
        }
    }

    /// Rows were changed behind its back.
    #[cfg(test)]
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::model::clock::UnixMillis;
    use crate::model::ids::{DeliveryId, EventId, HandlerName};

    fn key(handler: u8, due: u8) -> Vec<u8> {
        let handler = HandlerName::new(if handler == 0 { "one" } else { "two" });
        keys::due(&DeliveryId { event: EventId::from_bytes([7; 16]), handler }, UnixMillis(due.into()))
    }

    proptest! {
        #[test]
        fn no_row_ever_stands_before_the_head(happenings in proptest::collection::vec((0_u8..3, 0_u8..2, 0_u8..9), 0..60)) {
            let heads = Heads::default();
            let mut rows = BTreeSet::new();
            for (what, handler, due) in happenings {
                let row = key(handler, due);
                let queue = keys::due_prefix_in(&row).unwrap().to_vec();
                match what {
                    0 => {
                        heads.put(&row);
                        rows.insert(row);
                    }
                    1 => drop(rows.remove(&row)),
                    _ => {
                        // A walk from the head up to what is due.
                        let head = heads.of(&queue);
                        let first = rows.iter().find(|there| **there >= head && **there < row);
                        heads.move_on(&queue, first.unwrap_or(&row).max(&head));
                    }
                }
                for row in &rows {
                    prop_assert!(heads.of(keys::due_prefix_in(row).unwrap()) <= *row);
                }
            }
        }
    }
}
