//! Events that the door took while sled was still reading its log, when nobody could say whether they were known.
//!
//! The writer stores such an event whole, with a row in table `p` instead of its idempotency key: it is on disk, and
//! acknowledged, but not among the events yet. Duplicates among these, and of what the journal still holds, are told as
//! usual. Once sled is open and before anybody reads, each key is looked up: an event that is new enters; of one that was
//! known all along the chunks go, and a row leads from its id to the first one's. A kill at any point leaves the `p` rows,
//! and the next start goes on.

use super::codec;
use super::commands::{self, Known, Prepared};
use super::events::{View, read_event};
use super::fault::Fault;
use super::keys;
use super::round::Round;
use crate::model::event::{Appended, Event};
use crate::model::ids::EventId;

/// Events settled in one round: each writes some rows of a few bytes.
const SETTLED_MAX: usize = 128;
/// More chunks than one event of these may have: it was taken in one round.
const CHUNKS_MAX: usize = 1024;

/// Stores an event of which nobody knows whether it is new.
pub(super) fn append(round: &mut Round, prepared: &Prepared) -> Result<Appended, Fault> {
    if let Ok(Known::Event(id)) = commands::lookup(round, keys::IDEMPOTENCY, prepared) {
        return Ok(Appended::Duplicate(id));
    }
    let slot = match commands::lookup(round, keys::PROVISIONAL, prepared)? {
        Known::Event(id) => return Ok(Appended::Duplicate(id)),
        Known::Slot(slot) => slot,
    };
    round.refuse_if_full()?;
    let id = round.next_id();
    commands::put_tail(round, prepared, id)?;
    round.put(keys::chunk(&keys::of_event(keys::EVENTS, id), 0), prepared.record.chunk(0))?;
    let entry = codec::encode_key_entry(id, prepared.received, prepared.hash.rest);
    round.put(keys::idempotency(keys::PROVISIONAL, prepared.hash.row, slot), entry)?;
    Ok(Appended::New(id))
}

/// Settles some of them, now that sled is open. Says whether there may be more.
pub(super) fn settle_some(round: &mut Round) -> Result<bool, Fault> {
    let rows = round.scan(&[keys::PROVISIONAL], &[keys::PROVISIONAL], SETTLED_MAX)?;
    let more = rows.len() == SETTLED_MAX;
    for row in rows {
        let entry = round.get(&row)?.unwrap_or_default();
        let unreadable = |why| Fault::corrupt(format!("an event taken while loading: {why}"));
        let id = codec::decode_key_entry(&entry).map_err(unreadable)?.event;
        let event = read_event(round, id, false)?.ok_or_else(|| unreadable(format!("{id} is missing")))?;
        let prepared = Prepared::new(&event.envelope);
        round.remove(row);
        match commands::lookup(round, keys::IDEMPOTENCY, &prepared)? {
            Known::Slot(slot) => commands::enter(round, id, &prepared, slot)?,
            Known::Event(first) => become_alias(round, id, first)?,
        }
    }
    Ok(more)
}

/// The event by that id, or the one that it turned out to be.
pub(super) fn read_event_or_first(view: &impl View, id: EventId) -> Result<Option<Event>, Fault> {
    match read_event(view, id, true)? {
        Some(event) => Ok(Some(event)),
        None => first_of(view, id)?.map_or(Ok(None), |first| read_event(view, first, true)),
    }
}

fn first_of(view: &impl View, id: EventId) -> Result<Option<EventId>, Fault> {
    let row = view.get(&keys::of_event(keys::ALIASES, id))?;
    let first = row.map(|row| <[u8; 16]>::try_from(row.as_ref()).map(EventId::from_bytes)).transpose();
    first.map_err(|_| Fault::corrupt(format!("the row that leads from event {id} to another")))
}

fn become_alias(round: &mut Round, id: EventId, first: EventId) -> Result<(), Fault> {
    round.remove_within(&keys::of_event(keys::EVENTS, id), CHUNKS_MAX)?;
    tracing::info!(event = %id, %first, "an event taken while the store was loading was known already");
    round.put(keys::of_event(keys::ALIASES, id), first.to_bytes().to_vec())?;
    Ok(())
}
