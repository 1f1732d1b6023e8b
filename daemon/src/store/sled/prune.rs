//! Removing what retention no longer keeps: events with all their rows and, later, their idempotency keys.
//!
//! Two halves. The search reads beside the writer, oldest decision first, and only proposes. The removal is a command like
//! any other: it looks at each event again, against its round, so a delivery that was opened again meanwhile keeps it.
//!
//! An event's key row stays, and a tombstone by which it is found once its own time is up. Chunks, attempts and steps may be
//! many: what of them exceeds one round stands under the mark `g`, as an event that is being written does, and goes with
//! the next call or the next open. So a kill between two rounds leaves nothing that is seen. What cannot be read is kept.

use std::collections::BTreeSet;

use super::aside::move_aside;
use super::codec;
use super::commands::SLOTS_MAX;
use super::deliveries::{self, down};
use super::events::{Scan, View, read_event};
use super::fault::Fault;
use super::keys::{self, HASH_BYTES};
use super::reads;
use super::round::Round;
use crate::model::clock::UnixMillis;
use crate::model::event::Event;
use crate::model::ids::EventId;
use crate::model::limits::{PRUNE_EVENTS_MAX, PRUNE_KEYS_MAX, PRUNE_ROWS_MAX, PRUNE_SCAN_EVENTS_MAX};
use crate::model::retention::Retention;
use crate::model::verdict::Verdict;
use crate::store::{Pruned, StoreError};

/// What one removal writes, about: a key for each row.
pub(super) const PRUNE_BYTES: usize = PRUNE_ROWS_MAX * 64;
/// The tables whose rows of one event may be more than a round removes. Opening cleans them up, too.
pub(super) const BULK: [u8; 3] = [keys::ATTEMPTS, keys::STEPS, keys::EVENTS];
/// Marks of half-removed events that one search looks at; one call leaves one at most.
const LEFTOVERS_MAX: usize = 8;

/// What a search proposes.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Half-removed events.
    leftovers: Vec<EventId>,
    /// Tombstones whose key's time is up: their rows' keys.
    tombstones: Vec<Vec<u8>>,
    events: Vec<EventId>,
    unreadable: u64,
    /// Where the search began.
    after: Option<EventId>,
    reached: Option<EventId>,
    more: bool,
}

impl Found {
    /// Whether the writer has anything to do.
    pub(super) fn is_empty(&self) -> bool {
        self.leftovers.is_empty() && self.tombstones.is_empty() && self.events.is_empty()
    }

    /// The answer where nothing was removed.
    pub(super) fn nothing_removed(&self) -> Pruned {
        Pruned { unreadable: self.unreadable, reached: self.reached, more: self.more, ..Pruned::default() }
    }
}

/// Looks for what may go at `now`, from the event behind `after` on. Reads no event's body.
pub(super) fn search(
    rows: &impl Scan,
    retention: &Retention,
    now: UnixMillis,
    after: Option<EventId>,
) -> Result<Found, Fault> {
    let mut found = Found { after, reached: after, ..Found::default() };
    let marks = rows.scan(&[keys::STAGED], &[keys::STAGED], LEFTOVERS_MAX)?;
    found.leftovers = marks.iter().filter_map(|mark| keys::mark_in(mark)).collect();
    search_tombstones(rows, retention, now, &mut found)?;
    search_events(rows, retention, now, &mut found)?;
    Ok(found)
}

fn search_tombstones(
    rows: &impl Scan,
    retention: &Retention,
    now: UnixMillis,
    found: &mut Found,
) -> Result<(), Fault> {
    let due = |key: &Vec<u8>| keys::mark_in(key).is_none_or(|id| retention.key_kept_until(id) <= now);
    let tombstones = rows.scan(&[keys::TOMBSTONES], &[keys::TOMBSTONES], PRUNE_KEYS_MAX)?;
    found.tombstones = tombstones.into_iter().take_while(due).collect();
    found.more |= found.tombstones.len() == PRUNE_KEYS_MAX;
    Ok(())
}

fn search_events(
    rows: &impl Scan,
    retention: &Retention,
    now: UnixMillis,
    found: &mut Found,
) -> Result<(), Fault> {
    let (decided, whole_page) = decided_events(rows, found.reached)?;
    for id in decided {
        if UnixMillis(id.millis()).plus(retention.shortest()) > now {
            return Ok(());
        }
        if found.events.len() == PRUNE_EVENTS_MAX {
            found.more = true;
            return Ok(());
        }
        match kept_until(rows, id, retention) {
            Ok(Some(until)) if until <= now => found.events.push(id),
            Ok(_) => {}
            Err(fault) => count_unreadable(fault, &mut found.unreadable)?,
        }
        found.reached = Some(id);
    }
    found.more |= whole_page;
    Ok(())
}

/// The next events that were decided on, oldest first, and whether there may be more: each has a decision or a delivery.
fn decided_events(rows: &impl Scan, after: Option<EventId>) -> Result<(BTreeSet<EventId>, bool), Fault> {
    let (mut events, mut seen_to) = (BTreeSet::new(), None);
    for table in [keys::DECISIONS, keys::DELIVERIES] {
        let from = after.map_or_else(|| vec![table], |id| after_event(table, id));
        let keys = rows.scan(&[table], &from, PRUNE_SCAN_EVENTS_MAX)?;
        if keys.len() == PRUNE_SCAN_EVENTS_MAX {
            let last = keys.iter().rev().find_map(|key| keys::event_in(key));
            seen_to = seen_to.into_iter().chain(last).min();
        }
        events.extend(keys.iter().filter_map(|key| keys::event_in(key)));
    }
    events.retain(|id| seen_to.is_none_or(|last| *id <= last));
    Ok((events, seen_to.is_some()))
}

/// Until when the event must be kept; `None` where it is not finished.
fn kept_until(rows: &impl Scan, id: EventId, retention: &Retention) -> Result<Option<UnixMillis>, Fault> {
    let Some(decision) = reads::decision(rows, id)? else { return Ok(None) };
    if rows.get(&keys::of_event(keys::INBOX, id))?.is_some() {
        return Ok(None);
    }
    let assigned = match &decision.verdict {
        Verdict::Deliver(to) => to.len(),
        Verdict::Unrouted { .. } | Verdict::Dropped { .. } => 0,
    };
    let deliveries = deliveries::ids_of(rows, id)?;
    if deliveries.len() < assigned {
        return Err(Fault::corrupt(format!("a delivery of event {id} is missing")));
    }
    let mut latest = match deliveries.is_empty() {
        true => retention.verdict_keeps_until(&decision.verdict, decided_at(rows, id, &decision.verdict)?),
        false => UnixMillis::default(),
    };
    for id in deliveries {
        let Some(delivery) = deliveries::get(rows, &id)? else { continue };
        let Some(until) = retention.delivery_keeps_until(&delivery.state) else { return Ok(None) };
        latest = latest.max(until);
    }
    Ok(Some(latest))
}

/// When a verdict without deliveries fell, as its mark says; where it does not say, when the event was received.
fn decided_at(rows: &impl View, id: EventId, verdict: &Verdict) -> Result<UnixMillis, Fault> {
    let table = match verdict {
        Verdict::Unrouted { .. } => keys::UNROUTED,
        Verdict::Dropped { .. } => keys::DROPPED,
        Verdict::Deliver(_) => return Ok(UnixMillis(id.millis())),
    };
    let mark = rows.get(&keys::of_event(table, id))?;
    let mark = mark.ok_or_else(|| Fault::corrupt(format!("the mark of event {id} is missing")))?;
    let decided = codec::decode_decided(&mark)
        .map_err(|why| Fault::corrupt(format!("the mark of event {id}: {why}")))?;
    Ok(decided.unwrap_or(UnixMillis(id.millis())))
}

/// Removes what was found and may still go. Stops early where the round has removed enough.
pub(super) fn remove(round: &mut Round, retention: &Retention, found: &Found) -> Result<Pruned, Fault> {
    let mut pruned = found.nothing_removed();
    let mut budget = PRUNE_ROWS_MAX;
    for id in &found.leftovers {
        remove_leftover(round, *id, &mut budget)?;
    }
    for tombstone in &found.tombstones {
        pruned.keys += u64::from(remove_tombstone(round, retention, tombstone)?);
        budget = budget.saturating_sub(2);
    }
    let mut reached = found.after;
    for id in &found.events {
        if budget == 0 {
            pruned.reached = reached;
            break;
        }
        reached = Some(*id);
        match removable(round, *id, retention) {
            Ok(Some(event)) => {
                pruned.keys += u64::from(release_key(round, retention, &event)?);
                remove_event(round, *id, &mut budget)?;
                pruned.events += 1;
                pruned.oldest = pruned.oldest.or(Some(*id));
            }
            Ok(None) => {}
            Err(fault) => count_unreadable(fault, &mut pruned.unreadable)?,
        }
    }
    pruned.more |= budget == 0;
    Ok(pruned)
}

/// The event, if nothing keeps it.
fn removable(round: &Round, id: EventId, retention: &Retention) -> Result<Option<Event>, Fault> {
    match kept_until(round, id, retention)? {
        Some(until) if until <= round.now => read_event(round, id, false)?
            .map(Some)
            .ok_or_else(|| Fault::corrupt(format!("event {id} is missing"))),
        Some(_) | None => Ok(None),
    }
}

/// Takes the event out of sight and out of the totals, and removes as much of the rest as the round has room for.
fn remove_event(round: &mut Round, id: EventId, budget: &mut usize) -> Result<(), Fault> {
    let prefix = keys::of_event(keys::DELIVERIES, id);
    for key in round.scan(&prefix, &prefix, usize::MAX)? {
        let found = keys::delivery_in(&key).map(|id| deliveries::get(round, &id)).transpose()?.flatten();
        if let Some(delivery) = found {
            down(deliveries::count_of(&mut round.standing.totals.counts, &delivery.state));
        }
    }
    for table in [keys::UNROUTED, keys::DROPPED] {
        let mark = keys::of_event(table, id);
        if round.get(&mark)?.is_none() {
            continue;
        }
        round.remove(mark);
        let counts = &mut round.standing.totals.counts;
        down(if table == keys::UNROUTED { &mut counts.unrouted } else { &mut counts.dropped });
        *budget = budget.saturating_sub(1);
    }
    down(&mut round.standing.totals.counts.events);
    for table in [keys::DECISIONS, keys::DELIVERIES, keys::DEAD] {
        *budget = budget.saturating_sub(round.remove_within(&keys::of_event(table, id), usize::MAX)?);
    }
    // Without its first chunk an event is not there.
    round.remove(keys::chunk(&keys::of_event(keys::EVENTS, id), 0));
    if !remove_bulk(round, id, budget)? {
        round.put(keys::of_event(keys::STAGED, id), Vec::new())?;
    }
    Ok(())
}

/// Goes on with an event that is half removed. One that is still being written has no mark in any round that this runs
/// in, because large events are written in one go.
fn remove_leftover(round: &mut Round, id: EventId, budget: &mut usize) -> Result<(), Fault> {
    let mark = keys::of_event(keys::STAGED, id);
    if round.get(&mark)?.is_some() && remove_bulk(round, id, budget)? {
        round.remove(mark);
    }
    Ok(())
}

/// Removes what an event may have many of, as far as the round has room; says whether all of it is gone.
fn remove_bulk(round: &mut Round, id: EventId, budget: &mut usize) -> Result<bool, Fault> {
    for table in BULK {
        *budget -= round.remove_within(&keys::of_event(table, id), *budget)?;
    }
    Ok(*budget > 0)
}

/// Leaves the key of an event that goes, with a tombstone; or removes it, where its time is up too. Says which.
fn release_key(round: &mut Round, retention: &Retention, event: &Event) -> Result<bool, Fault> {
    let envelope = &event.envelope;
    let hash = keys::idempotency_hash(&envelope.source, &envelope.idempotency_key);
    if retention.key_kept_until(event.id) <= round.now {
        return remove_key(round, hash.row, event.id);
    }
    if let Some(slot) = key_slots(round, hash.row)?.iter().position(|holder| *holder == Some(event.id)) {
        // Written anew: a row of the first version cannot be told from another without its event.
        let entry = codec::encode_key_entry(event.id, envelope.received, hash.rest);
        let slot = u8::try_from(slot).unwrap_or(SLOTS_MAX);
        round.put(keys::idempotency(keys::IDEMPOTENCY, hash.row, slot), entry)?;
        round.put(keys::of_event(keys::TOMBSTONES, event.id), codec::encode_tombstone(hash.row))?;
    }
    Ok(false)
}

/// Removes a tombstone whose time is up, and its key; says whether there was one.
fn remove_tombstone(round: &mut Round, retention: &Retention, key: &[u8]) -> Result<bool, Fault> {
    let Some(row) = round.get(key)? else { return Ok(false) };
    let (Some(id), Ok(hash_row)) = (keys::mark_in(key), codec::decode_tombstone(&row)) else {
        tracing::error!(row = %hex::encode(key), "a tombstone cannot be read; moving it aside");
        move_aside(round, key)?;
        return Ok(false);
    };
    if retention.key_kept_until(id) > round.now {
        return Ok(false);
    }
    round.remove(key.to_vec());
    remove_key(round, hash_row, id)
}

/// Removes the key row that names the event. Keys that share half a hash stand in a row without gaps: the last moves into
/// the place that is freed.
fn remove_key(round: &mut Round, row: [u8; HASH_BYTES], id: EventId) -> Result<bool, Fault> {
    let holders = key_slots(round, row)?;
    let Some(freed) = holders.iter().position(|holder| *holder == Some(id)) else { return Ok(false) };
    let name =
        |slot: usize| keys::idempotency(keys::IDEMPOTENCY, row, u8::try_from(slot).unwrap_or(SLOTS_MAX));
    let last = holders.len() - 1;
    if last != freed
        && let Some(moved) = round.get(&name(last))?
    {
        round.put(name(freed), moved.to_vec())?;
    }
    round.remove(name(last));
    Ok(true)
}

/// The events of the keys that share half a hash, slot by slot; `None` for a row that cannot be read.
fn key_slots(round: &Round, row: [u8; HASH_BYTES]) -> Result<Vec<Option<EventId>>, Fault> {
    let mut holders = Vec::new();
    for slot in 0..SLOTS_MAX {
        let Some(entry) = round.get(&keys::idempotency(keys::IDEMPOTENCY, row, slot))? else { break };
        holders.push(codec::decode_key_entry(&entry).ok().map(|entry| entry.event));
    }
    Ok(holders)
}

/// What cannot be read is kept and counted; a failure of sled itself is passed on.
fn count_unreadable(fault: Fault, unreadable: &mut u64) -> Result<(), Fault> {
    match fault {
        Fault::Refused(StoreError::Corrupt { .. }) => {
            *unreadable += 1;
            Ok(())
        }
        other => Err(other),
    }
}

/// The smallest key behind all rows of the event in that table.
fn after_event(table: u8, id: EventId) -> Vec<u8> {
    keys::after(&keys::of_event(table, id))
}
