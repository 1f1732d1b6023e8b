//! What events are known by: idempotency keys, the tombstones of keys whose event is gone, and ids that lead to another.

use sled::IVec;

use super::Check;
use crate::model::ids::EventId;
use crate::store::sled::codec::{self, KeyEntry};
use crate::store::sled::derived::{self, Found, found};
use crate::store::sled::events::{Scan, read_event};
use crate::store::sled::fault::Fault;
use crate::store::sled::keys::{self, HASH_BYTES};

impl<R: Scan> Check<'_, R> {
    /// A key row names an event of that key, or one that was removed and left a tombstone.
    pub(super) fn idempotency(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let told = match keys::idempotency_in(key).zip(codec::decode_key_entry(value).ok()) {
            None => false,
            Some(((row, slot), entry)) => {
                let slots = derived::slots(self.rows, row)?;
                let first = slots.iter().position(|slot| **slot == *value) == Some(usize::from(slot));
                first && self.holds_key(row, &entry, value)?
            }
        };
        self.must(told, || format!("the idempotency key {} names no event of that key", hex::encode(key)));
        Ok(())
    }

    fn holds_key(&self, row: [u8; HASH_BYTES], entry: &KeyEntry, value: &[u8]) -> Result<bool, Fault> {
        Ok(match found(read_event(self.rows, entry.event, false))? {
            Found::Whole(event) => derived::key_hash(&event).row == row && derived::is_key_row(&event, value),
            Found::Missing => {
                let tombstone = self.rows.get(&keys::of_event(keys::TOMBSTONES, entry.event))?;
                let leads_here = |found: IVec| codec::decode_tombstone(&found).is_ok_and(|of| of == row);
                entry.rest.is_some() && tombstone.is_some_and(leads_here)
            }
            // The event itself is told.
            Found::Damaged(_) => true,
        })
    }

    /// A tombstone leads to the key of an event that is gone.
    pub(super) fn tombstone(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let whole = match keys::mark_in(key).zip(codec::decode_tombstone(value).ok()) {
            Some((id, row)) => {
                derived::outlives(self.rows, row, id)? && !derived::begins(self.rows, keys::EVENTS, id)?
            }
            None => false,
        };
        self.must(whole, || format!("the tombstone {} has no key, or has an event", hex::encode(key)));
        Ok(())
    }

    /// The id of an event that was another one all along. That one may have been removed since.
    pub(super) fn alias(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let ids = keys::mark_in(key).zip(value.try_into().ok().map(EventId::from_bytes));
        let leads = match ids {
            Some((id, first)) => {
                !derived::any_of_event(self.rows, keys::EVENTS, id)?
                    && !self.has(&keys::of_event(keys::ALIASES, first))?
            }
            None => false,
        };
        self.must(leads, || format!("the row {} does not lead from one event to another", hex::encode(key)));
        Ok(())
    }
}
