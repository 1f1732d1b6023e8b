//! What follows from an event, a decision or a delivery: the rows that `verify` expects and that `repair` writes.
//!
//! Nothing here changes anything. Both look at rows through [`Rows`], so that the same words hold for a store as it stands
//! and for a round that is being made.

use sled::{IVec, Tree};

use super::codec;
use super::events::View;
use super::fault::Fault;
use super::keys;
use super::round::Round;
use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::event::Event;
use crate::model::ids::EventId;
use crate::model::verdict::Verdict;

/// Rows by key, and in order.
pub(super) trait Rows: View {
    /// The first `limit` rows from `from` on that begin with `prefix`, in order.
    fn rows(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, IVec)>, ::sled::Error>;
}

impl Rows for Tree {
    fn rows(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, IVec)>, ::sled::Error> {
        let end = keys::after(prefix);
        if from >= end.as_slice() {
            return Ok(Vec::new());
        }
        let rows = self.range(from.to_vec()..end).take(limit);
        rows.map(|row| row.map(|(key, value)| (key.to_vec(), value))).collect()
    }
}

impl Rows for Round {
    fn rows(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, IVec)>, ::sled::Error> {
        self.scan(prefix, from, limit)
    }
}

/// A record or a row that was looked for.
#[derive(Debug)]
pub(super) enum Found<T> {
    Whole(T),
    Missing,
    /// It is there and cannot be read.
    Damaged(String),
}

/// Tells damage apart from a failure of the engine, which is passed on.
pub(super) fn found<T>(read: Result<Option<T>, Fault>) -> Result<Found<T>, Fault> {
    match read {
        Ok(Some(whole)) => Ok(Found::Whole(whole)),
        Ok(None) => Ok(Found::Missing),
        Err(Fault::Refused(why)) => Ok(Found::Damaged(why.to_string())),
        Err(engine) => Err(engine),
    }
}

/// The hash and the value of the row that leads from an event's idempotency key to the event.
pub(super) fn key_row(event: &Event) -> ([u8; 16], Vec<u8>) {
    let envelope = &event.envelope;
    let hash = keys::idempotency_hash(&envelope.source, &envelope.idempotency_key);
    (hash, codec::encode_key_entry(event.id, envelope.received))
}

/// The values under a hash, slot by slot, up to the first slot that is free: no look-up goes beyond it.
pub(super) fn slots(view: &impl View, hash: [u8; 16]) -> Result<Vec<IVec>, Fault> {
    let mut values = Vec::new();
    for slot in 0..=u8::MAX {
        match view.get(&keys::idempotency(hash, slot))? {
            Some(value) => values.push(value),
            None => break,
        }
    }
    Ok(values)
}

/// The table in which an event with this verdict has a mark.
pub(super) fn mark_of(verdict: &Verdict) -> Option<u8> {
    match verdict {
        Verdict::Deliver(_) => None,
        Verdict::Unrouted { .. } => Some(keys::UNROUTED),
        Verdict::Dropped { .. } => Some(keys::DROPPED),
    }
}

/// The rows of the indexes that a delivery has.
pub(super) fn index_rows(delivery: &Delivery) -> Vec<Vec<u8>> {
    let due = delivery.state.wakes_at().map(|at| keys::due(&delivery.id, at));
    let dead = matches!(delivery.state, DeliveryState::Dead { .. })
        .then(|| keys::delivery(keys::DEAD, &delivery.id));
    due.into_iter().chain(dead).collect()
}

/// Whether a record of this event begins in the table: whether its first chunk is there.
pub(super) fn begins(view: &impl View, table: u8, id: EventId) -> Result<bool, Fault> {
    Ok(view.get(&keys::chunk(&keys::of_event(table, id), 0))?.is_some())
}

/// Whether any row of this event is in the table.
pub(super) fn any_of_event(view: &impl Rows, table: u8, id: EventId) -> Result<bool, Fault> {
    let prefix = keys::of_event(table, id);
    Ok(!view.rows(&prefix, &prefix, 1)?.is_empty())
}
