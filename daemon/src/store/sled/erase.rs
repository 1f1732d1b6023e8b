//! Erases: an event's body, and what was said of its attempts, are written anew without a person's data.
//!
//! Whoever erases looks beside the writer, so the writer looks once more whether the event is finished. All of it is one
//! round: a kill leaves the event as it was or as it is to be. The old bytes stay in sled's file and in the journal's until
//! those are written over; a compaction leaves them behind.

use std::sync::Arc;

use super::codec;
use super::commands;
use super::deliveries::{self, put_attempt};
use super::events::{Record, View, read_event};
use super::fault::Fault;
use super::keys;
use super::round::Round;
use super::{SMALL_BYTES, SledStore};
use crate::model::delivery::DeliveryState;
use crate::model::event::{Envelope, Event};
use crate::model::ids::EventId;
use crate::model::limits::EVENT_META_BYTES_MAX;
use crate::store::{Erasure, StoreError, check};

/// Erases, and lets nobody find the event as it was in memory.
pub(super) async fn run(store: &SledStore, event: EventId, erasure: Erasure) -> Result<bool, StoreError> {
    check::erasure(&erasure)?;
    let attempts: usize = erasure.attempts.iter().map(|(_, attempt)| check::attempt_bytes(attempt)).sum();
    let said = attempts + check::memos_bytes(&erasure);
    let bytes = SMALL_BYTES + EVENT_META_BYTES_MAX + erasure.body.len() + said;
    let recent = Arc::clone(&store.recent);
    let erased = store.write(bytes, move |round| {
        let erased = erase(round, event, &erasure)?;
        Ok(erased.map(|event| recent.replace(event)).is_some())
    });
    erased.await
}

/// The event as it is now; `None` where there is none, or it is unfinished and not to be touched then.
fn erase(round: &mut Round, id: EventId, erasure: &Erasure) -> Result<Option<Event>, Fault> {
    let Some(event) = read_event(round, id, false)? else { return Ok(None) };
    if !erasure.even_unfinished && is_unfinished(round, id)? {
        return Ok(None);
    }
    let envelope =
        Envelope { body: erasure.body.clone(), headers: erasure.headers.clone(), ..event.envelope };
    let prefix = keys::of_event(keys::EVENTS, id);
    // The old body may have had more chunks than the new one.
    round.remove_within(&prefix, usize::MAX)?;
    round.put_record(&prefix, &Record::of_event(&envelope))?;
    for (delivery, attempt) in &erasure.attempts {
        let Some(mut row) = deliveries::row(round, delivery)? else { continue };
        round.remove_within(&keys::attempt(delivery, attempt.number), usize::MAX)?;
        if attempt.number == 1 {
            row.first = None;
        }
        put_attempt(round, &mut row, attempt)?;
        round.put(keys::delivery(keys::DELIVERIES, delivery), codec::encode_delivery(&row))?;
    }
    for (delivery, reason) in &erasure.reasons {
        let Some(mut row) = deliveries::row(round, delivery)? else { continue };
        if let DeliveryState::Dead { at, .. } = row.delivery.state {
            row.delivery.state = DeliveryState::Dead { at, reason: reason.clone() };
            round.put(keys::delivery(keys::DELIVERIES, delivery), codec::encode_delivery(&row))?;
        }
    }
    for (step, memo) in &erasure.memos {
        commands::step_amend(round, step, memo)?;
    }
    Ok(Some(Event { id, envelope }))
}

fn is_unfinished(round: &Round, id: EventId) -> Result<bool, Fault> {
    if round.get(&keys::of_event(keys::INBOX, id))?.is_some() {
        return Ok(true);
    }
    for id in deliveries::ids_of(round, id)? {
        let delivery = deliveries::get(round, &id)?;
        if delivery.is_some_and(|delivery| delivery.state.wakes_at().is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}
