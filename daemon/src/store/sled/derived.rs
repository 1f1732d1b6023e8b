//! What follows from an event, a decision or a delivery: the rows that `verify` expects and that `repair` writes.
//!
//! Nothing here changes anything. Both look at rows through [`Scan`], so that the same words hold for a store as it stands
//! and for a round that is being made.

use sled::IVec;

use super::codec;
use super::commands::SLOTS_MAX;
use super::events::{Scan, View};
use super::fault::Fault;
use super::keys::{self, HASH_BYTES, KeyHash};
use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::event::Event;
use crate::model::ids::EventId;
use crate::model::verdict::Verdict;

/// A row's key and value.
pub(super) type Row = (Vec<u8>, IVec);

/// The first `limit` rows from `from` on that begin with `prefix`, in order. One that goes meanwhile is left out.
pub(super) fn rows(view: &impl Scan, prefix: &[u8], from: &[u8], limit: usize) -> Result<Slice, Fault> {
    let keys = view.scan(prefix, from, limit)?;
    let next = keys.last().filter(|_| keys.len() == limit).map(|last| beyond(last));
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        if let Some(value) = view.get(&key)? {
            rows.push((key, value));
        }
    }
    Ok(Slice { rows, next })
}

/// Some rows, and where the next ones begin; `None` at the end.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) rows: Vec<Row>,
    pub(super) next: Option<Vec<u8>>,
}

/// The smallest key above `key`.
pub(super) fn beyond(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
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

/// The hash of an event's idempotency key.
pub(super) fn key_hash(event: &Event) -> KeyHash {
    keys::idempotency_hash(&event.envelope.source, &event.envelope.idempotency_key)
}

/// The row that leads from an event's idempotency key to the event, as it is written today.
pub(super) fn key_row(event: &Event) -> Vec<u8> {
    codec::encode_key_entry(event.id, event.envelope.received, key_hash(event).rest)
}

/// Whether a row leads to the event from its idempotency key. Rows of the first version do, too.
pub(super) fn is_key_row(event: &Event, value: &[u8]) -> bool {
    let first_version = || codec::encode_key_entry_v1(event.id, event.envelope.received);
    *value == *key_row(event) || *value == *first_version()
}

/// The values under a hash, slot by slot, up to the first slot that is free: no look-up goes beyond it.
pub(super) fn slots(view: &impl View, row: [u8; HASH_BYTES]) -> Result<Vec<IVec>, Fault> {
    let mut values = Vec::new();
    for slot in 0..SLOTS_MAX {
        match view.get(&keys::idempotency(keys::IDEMPOTENCY, row, slot))? {
            Some(value) => values.push(value),
            None => break,
        }
    }
    Ok(values)
}

/// Whether one of the rows under a hash, whose key outlives its event, names this event.
pub(super) fn outlives(view: &impl View, row: [u8; HASH_BYTES], id: EventId) -> Result<bool, Fault> {
    let names = |value: &IVec| {
        codec::decode_key_entry(value).is_ok_and(|entry| entry.event == id && entry.rest.is_some())
    };
    Ok(slots(view, row)?.iter().any(names))
}

/// The table in which an event with this verdict has a mark.
pub(super) fn mark_of(verdict: &Verdict) -> Option<u8> {
    match verdict {
        Verdict::Deliver(_) => None,
        Verdict::Unrouted { .. } => Some(keys::UNROUTED),
        Verdict::Dropped { .. } => Some(keys::DROPPED),
    }
}

/// Whether a mark may hold this: when it was decided, or nothing, as all marks once did and those of the inbox do.
pub(super) fn is_mark_value(table: u8, value: &[u8]) -> bool {
    value.is_empty() || (table != keys::INBOX && codec::decode_decided(value).is_ok())
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
pub(super) fn any_of_event(view: &impl Scan, table: u8, id: EventId) -> Result<bool, Fault> {
    let prefix = keys::of_event(table, id);
    Ok(!view.scan(&prefix, &prefix, 1)?.is_empty())
}
