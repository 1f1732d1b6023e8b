//! Idempotency keys: the rows that lead from a hash to the events that have it, slot by slot.

use std::collections::BTreeMap;

use sled::IVec;

use super::{Progress, STEP_ROWS, beyond};
use crate::model::ids::EventId;
use crate::store::sled::codec;
use crate::store::sled::derived::{self, Found, found};
use crate::store::sled::events::read_event;
use crate::store::sled::fault::Fault;
use crate::store::sled::keys;
use crate::store::sled::round::Round;

/// Idempotency keys, hash by hash: those that lead to their event stay, in the slots from 0 on; the rest goes.
pub(super) fn check(round: &mut Round, progress: &mut Progress) -> Result<bool, Fault> {
    let mut rows = round.scan(&[keys::IDEMPOTENCY], &progress.from, STEP_ROWS)?;
    let more = rows.len() == STEP_ROWS;
    let last = rows.last().and_then(|(key, _)| Some(keys::idempotency_in(key)?.0));
    let starts = rows.first().and_then(|(key, _)| Some(keys::idempotency_in(key)?.0));
    progress.from = rows.last().map(|(key, _)| beyond(key)).unwrap_or_default();
    if let Some(last) = last.filter(|last| more && starts != Some(*last)) {
        // The last hash may go on behind these rows: it comes whole with the next step.
        rows.retain(|(key, _)| keys::idempotency_in(key).is_none_or(|(hash, _)| hash != last));
        progress.from = keys::idempotency(last, 0);
    }
    let mut by_hash: BTreeMap<[u8; 16], Vec<(u8, IVec)>> = BTreeMap::new();
    for (key, value) in rows {
        match keys::idempotency_in(&key) {
            Some((hash, slot)) => by_hash.entry(hash).or_default().push((slot, value)),
            None => progress.remove(round, &key),
        }
    }
    for (hash, slots) in by_hash {
        check_slots(round, progress, hash, &slots)?;
    }
    Ok(more)
}

fn check_slots(
    round: &mut Round,
    progress: &mut Progress,
    hash: [u8; 16],
    slots: &[(u8, IVec)],
) -> Result<(), Fault> {
    let mut keep: BTreeMap<EventId, Vec<u8>> = BTreeMap::new();
    for (_, value) in slots {
        let Ok(id) = codec::decode_key_entry(value) else { continue };
        match found(read_event(round, id, false))? {
            Found::Whole(event) => {
                let (own, value) = derived::key_row(&event);
                if own == hash {
                    keep.insert(id, value);
                }
            }
            // It cannot be asked for its key: the row still keeps a second one of it out.
            Found::Damaged(_) => drop(keep.entry(id).or_insert_with(|| value.to_vec())),
            Found::Missing => {}
        }
    }
    let fit = slots.len() == keep.len()
        && slots.iter().enumerate().all(|(at, (slot, value))| {
            usize::from(*slot) == at
                && codec::decode_key_entry(value)
                    .is_ok_and(|id| keep.get(&id).is_some_and(|kept| **kept == **value))
        });
    if !fit {
        let taken: Vec<u8> = slots.iter().map(|(slot, _)| *slot).collect();
        lay(round, progress, hash, &keep, &taken)?;
    }
    Ok(())
}

/// Lays events into the slots of a hash, the oldest first, and empties the slots behind them.
pub(super) fn lay(
    round: &mut Round,
    progress: &mut Progress,
    hash: [u8; 16],
    events: &BTreeMap<EventId, Vec<u8>>,
    taken: &[u8],
) -> Result<(), Fault> {
    for (slot, value) in (0..=u8::MAX).zip(events.values()) {
        progress.ensure(round, keys::idempotency(hash, slot), value)?;
    }
    for slot in taken.iter().filter(|slot| usize::from(**slot) >= events.len()) {
        progress.remove(round, &keys::idempotency(hash, *slot));
    }
    Ok(())
}
