//! Idempotency keys: the rows that lead from a hash to the events that have it, slot by slot.

use std::collections::BTreeMap;

use sled::IVec;

use super::{Progress, STEP_ROWS};
use crate::model::ids::EventId;
use crate::store::sled::codec;
use crate::store::sled::commands::SLOTS_MAX;
use crate::store::sled::derived::{self, Found, found};
use crate::store::sled::events::{View, read_event};
use crate::store::sled::fault::Fault;
use crate::store::sled::keys::{self, HASH_BYTES};
use crate::store::sled::round::Round;

/// Idempotency keys, hash by hash: those that lead to their event, or outlive it, stay, in the slots from 0 on; the rest
/// goes.
pub(super) fn check(round: &mut Round, progress: &mut Progress) -> Result<bool, Fault> {
    let slice = derived::rows(round, &[keys::IDEMPOTENCY], &progress.from, STEP_ROWS)?;
    let (mut rows, mut next) = (slice.rows, slice.next);
    let last = rows.last().and_then(|(key, _)| Some(keys::idempotency_in(key)?.0));
    let starts = rows.first().and_then(|(key, _)| Some(keys::idempotency_in(key)?.0));
    if let Some(last) = last.filter(|last| next.is_some() && starts != Some(*last)) {
        // The last hash may go on behind these rows: it comes whole with the next step.
        rows.retain(|(key, _)| keys::idempotency_in(key).is_none_or(|(hash, _)| hash != last));
        next = Some(keys::idempotency(keys::IDEMPOTENCY, last, 0));
    }
    let mut by_hash: BTreeMap<[u8; HASH_BYTES], Vec<(u8, IVec)>> = BTreeMap::new();
    for (key, value) in rows {
        match keys::idempotency_in(&key) {
            Some((hash, slot)) => by_hash.entry(hash).or_default().push((slot, value)),
            None => progress.remove(round, &key),
        }
    }
    for (hash, slots) in by_hash {
        check_slots(round, progress, hash, &slots)?;
    }
    Ok(progress.go_on(next))
}

fn check_slots(
    round: &mut Round,
    progress: &mut Progress,
    hash: [u8; HASH_BYTES],
    slots: &[(u8, IVec)],
) -> Result<(), Fault> {
    let mut keep: BTreeMap<EventId, Vec<u8>> = BTreeMap::new();
    for (_, value) in slots {
        let Ok(entry) = codec::decode_key_entry(value) else { continue };
        let id = entry.event;
        match found(read_event(round, id, false))? {
            Found::Whole(event) if derived::key_hash(&event).row != hash => {}
            Found::Whole(event) if derived::is_key_row(&event, value) => {
                keep.insert(id, value.to_vec());
            }
            Found::Whole(event) => {
                keep.entry(id).or_insert_with(|| derived::key_row(&event));
            }
            // It cannot be asked for its key: the row still keeps a second one of it out.
            Found::Damaged(_) => {
                keep.entry(id).or_insert_with(|| value.to_vec());
            }
            Found::Missing => {
                if entry.rest.is_some() && !keep.contains_key(&id) && bury(round, progress, hash, id)? {
                    keep.insert(id, value.to_vec());
                }
            }
        }
    }
    let fit = slots.len() == keep.len()
        && slots.iter().enumerate().all(|(at, (slot, value))| {
            usize::from(*slot) == at
                && codec::decode_key_entry(value)
                    .is_ok_and(|entry| keep.get(&entry.event).is_some_and(|kept| **kept == **value))
        });
    if !fit {
        let taken: Vec<u8> = slots.iter().map(|(slot, _)| *slot).collect();
        lay(round, progress, hash, &keep, &taken)?;
    }
    Ok(())
}

/// Whether an event that is gone left a tombstone that leads to this hash. One that cannot be read, or was moved aside for
/// that, is written anew: this key is what it led to.
fn bury(
    round: &mut Round,
    progress: &mut Progress,
    hash: [u8; HASH_BYTES],
    id: EventId,
) -> Result<bool, Fault> {
    let key = keys::of_event(keys::TOMBSTONES, id);
    let value = match round.get(&key)? {
        Some(value) => Some(value),
        None => round.get(&keys::aside(&key))?,
    };
    match value.map(|value| codec::decode_tombstone(&value)) {
        None => Ok(false),
        Some(Ok(leads_to)) if leads_to != hash => Ok(false),
        Some(_) => {
            progress.ensure(round, key, &codec::encode_tombstone(hash))?;
            Ok(true)
        }
    }
}

/// Lays events into the slots of a hash, the oldest first, and empties the slots behind them.
pub(super) fn lay(
    round: &mut Round,
    progress: &mut Progress,
    hash: [u8; HASH_BYTES],
    events: &BTreeMap<EventId, Vec<u8>>,
    taken: &[u8],
) -> Result<(), Fault> {
    for (slot, value) in (0..SLOTS_MAX).zip(events.values()) {
        progress.ensure(round, keys::idempotency(keys::IDEMPOTENCY, hash, slot), value)?;
    }
    for slot in taken.iter().filter(|slot| usize::from(**slot) >= events.len()) {
        progress.remove(round, &keys::idempotency(keys::IDEMPOTENCY, hash, *slot));
    }
    Ok(())
}
