//! What only looks: on the blocking pool, beside the writer.
//!
//! A reader sees only what is on disk. It may see one row of a commit and not yet another: harmless where it only shows,
//! or decides what the writer will order behind it anyway (routing); what a plugin acts upon (`kv_get`, steps, leases) goes
//! through the writer instead. Every page is bounded in rows returned, rows looked at and bytes held.

use std::sync::Arc;

use super::codec::{self, StepRow};
use super::commands;
use super::deliveries;
use super::events::{Scan, View, read_event, read_record};
use super::fault::Fault;
use super::keys;
use super::recent::Recent;
use super::rows::{Keys, Rows};
use crate::model::attempt::Attempt;
use crate::model::delivery::Delivery;
use crate::model::event::Event;
use crate::model::ids::{DeliveryId, EventId, StepId};
use crate::model::limits::{PAGE_BODY_BYTES_MAX, PAGE_ROWS_MAX, PAGE_SCAN_ROWS_MAX, UNREADABLE_MARKS_MAX};
use crate::model::memory::Step;
use crate::model::verdict::{Decision, Verdict};
use crate::store::{DeliveryQuery, EventQuery, Page, Routing};

/// What routing decided.
pub(super) fn decision(view: &impl Scan, id: EventId) -> Result<Option<Decision>, Fault> {
    let prefix = keys::of_event(keys::DECISIONS, id);
    let record = read_record(view, &prefix, false, || format!("the decision on event {id}"))?;
    let Some((row, _)) = record else { return decision_of_delivery(view, id) };
    let decision = codec::decode_decision(&row);
    decision.map(Some).map_err(|why| Fault::corrupt(format!("the decision on event {id}: {why}")))
}

/// What was decided on an event whose decision has no row: one of its deliveries says it.
fn decision_of_delivery(view: &impl Scan, id: EventId) -> Result<Option<Decision>, Fault> {
    for id in deliveries::ids_of(view, id)? {
        let decision = deliveries::row(view, &id)?.and_then(|row| row.decision());
        if decision.is_some() {
            return Ok(decision);
        }
    }
    Ok(None)
}

/// Every attempt at one delivery.
pub(super) fn attempts(rows: &Rows, id: &DeliveryId) -> Result<Vec<Attempt>, Fault> {
    let mut found = Vec::new();
    if let Some(first) = deliveries::row(rows, id)?.and_then(|row| row.first) {
        let first = codec::decode_attempt(&first);
        found.push(first.map_err(|why| Fault::corrupt(format!("attempt 1 at {id}: {why}")))?);
    }
    for key in rows.with_prefix(&keys::attempts_prefix(id)) {
        let key = key?;
        let (_, number, chunk) = keys::attempt_in(&key).ok_or_else(|| Fault::corrupt("an attempt's key"))?;
        if chunk != 0 {
            continue;
        }
        let what = || format!("attempt {number} at {id}");
        let record = read_record(rows, &keys::attempt(id, number), false, what)?;
        let (row, _) = record.ok_or_else(|| Fault::corrupt(what()))?;
        found.push(codec::decode_attempt(&row).map_err(|why| Fault::corrupt(format!("{}: {why}", what())))?);
    }
    Ok(found)
}

/// Steps of one delivery, from the one after that name on.
pub(super) fn steps(rows: &Rows, id: &DeliveryId, after: Option<Arc<str>>) -> Result<Vec<Step>, Fault> {
    let prefix = keys::steps_prefix(id);
    let after = after.map(|name| [&prefix, name.as_bytes()].concat());
    let mut found = Vec::new();
    for key in keys_under(rows, &prefix, after, false).take(PAGE_ROWS_MAX) {
        let key = key?;
        let name = std::str::from_utf8(&key[prefix.len()..]).map_err(|_| Fault::corrupt("a step's key"))?;
        let id = StepId { delivery: id.clone(), step: name.into() };
        let memo = match commands::step_row(rows, &key, &id)? {
            Some(StepRow::Done(memo)) => Some(memo),
            Some(StepRow::Begun) | None => None,
        };
        found.push(Step { id, memo });
    }
    Ok(found)
}

/// What the inbox holds.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Oldest first, whole.
    pub(super) events: Vec<Event>,
    /// Marks whose event cannot be read, or that name none. The writer settles them.
    pub(super) unreadable: Vec<Vec<u8>>,
}

/// Up to `max` events that wait to be routed, and the marks that stood in their way.
pub(super) fn to_route(rows: &Rows, max: usize) -> Result<Waiting, Fault> {
    let max = max.min(PAGE_ROWS_MAX);
    let mut waiting = Waiting::default();
    let mut held_bytes = 0;
    let mut marks = rows.with_prefix(&[keys::INBOX]);
    while waiting.events.len() < max
        && waiting.unreadable.len() < UNREADABLE_MARKS_MAX
        && held_bytes < PAGE_BODY_BYTES_MAX
    {
        let Some(mark) = marks.next().transpose()? else {
            rows.look_again(&[keys::INBOX])?;
            break;
        };
        let event = match keys::mark_in(&mark).map(|id| read_event(rows, id, true)) {
            Some(Ok(found)) => found,
            None | Some(Err(Fault::Refused(_))) => None,
            Some(Err(engine)) => return Err(engine),
        };
        match event {
            Some(event) => {
                held_bytes += event.envelope.body.len();
                waiting.events.push(event);
            }
            None => waiting.unreadable.push(mark),
        }
    }
    Ok(waiting)
}

/// Up to `max` events that wait to be routed, where all that wait came a moment ago; `None` where rows have to be read.
pub(super) fn to_route_at_once(rows: &Rows, recent: &Recent, max: usize) -> Option<Vec<Event>> {
    let inbox = vec![keys::INBOX]..keys::after(&[keys::INBOX]);
    let marks = rows.front.keys(&inbox, false, max.min(PAGE_ROWS_MAX));
    if rows.horizon.may_hold_within(&inbox) || marks.iter().any(|(_, there)| !there) {
        return None;
    }
    marks.iter().map(|(mark, _)| recent.get(keys::mark_in(mark)?).map(|event| Event::clone(&event))).collect()
}

/// One page of events.
pub(super) fn events(rows: &Rows, query: &EventQuery) -> Result<Page<Event, EventId>, Fault> {
    let table = match query.routing {
        Some(Routing::Waiting) => keys::INBOX,
        Some(Routing::Unrouted) => keys::UNROUTED,
        Some(Routing::Dropped) => keys::DROPPED,
        Some(Routing::Routed) | None => keys::EVENTS,
    };
    let limit = page_rows(query.limit);
    let mut page = Page { rows: Vec::new(), next: None };
    let (mut looked_at, mut held_bytes) = (0, 0);
    let mut at = query.after;
    while let Some(id) = next_id(rows, table, at, query.newest_first)? {
        if page.rows.len() < limit && (looked_at == PAGE_SCAN_ROWS_MAX || held_bytes >= PAGE_BODY_BYTES_MAX) {
            page.next = at;
            break;
        }
        looked_at += 1;
        at = Some(id);
        let Some(event) = read_listed(rows, id, false)? else { continue };
        if !event_fits(rows, query, &event)? {
            continue;
        }
        if page.rows.len() == limit {
            page.next = page.rows.last().map(|last: &Event| last.id);
            break;
        }
        let whole = if query.bodies { read_listed(rows, id, true)? } else { Some(event) };
        let Some(event) = whole else { continue };
        held_bytes += event.envelope.body.len();
        page.rows.push(event);
    }
    Ok(page)
}

/// One page of deliveries.
pub(super) fn deliveries(rows: &Rows, query: &DeliveryQuery) -> Result<Page<Delivery, DeliveryId>, Fault> {
    let dead_only = query.state.as_deref() == Some("dead");
    let table = if dead_only { keys::DEAD } else { keys::DELIVERIES };
    let prefix = query.event.map_or_else(|| vec![table], |event| keys::of_event(table, event));
    let after = query.after.as_ref().map(|after| keys::delivery(table, after));
    let limit = page_rows(query.limit);
    let mut page = Page { rows: Vec::new(), next: None };
    let mut last_seen = None;
    for (looked_at, key) in keys_under(rows, &prefix, after, query.newest_first).enumerate() {
        let id = keys::delivery_in(&key?).ok_or_else(|| Fault::corrupt("a delivery's key"))?;
        if looked_at >= PAGE_SCAN_ROWS_MAX && page.rows.len() < limit {
            page.next = last_seen;
            break;
        }
        last_seen = Some(id.clone());
        let Some(delivery) = deliveries::get(rows, &id)? else { continue };
        let fits = query.handler.as_ref().is_none_or(|handler| *handler == id.handler)
            && query.state.as_ref().is_none_or(|state| state == delivery.state.word());
        if !fits {
            continue;
        }
        if page.rows.len() == limit {
            page.next = page.rows.last().map(|last: &Delivery| last.id.clone());
            break;
        }
        page.rows.push(delivery);
    }
    Ok(page)
}

/// An event for a page. One that cannot be read is told in the log and left out, so that it hides no other; asked for by
/// its id it says what is wrong with it.
fn read_listed(rows: &Rows, id: EventId, with_body: bool) -> Result<Option<Event>, Fault> {
    match read_event(rows, id, with_body) {
        Err(Fault::Refused(why)) => {
            tracing::error!(event = %id, %why, "an event cannot be read; leaving it out of the list");
            Ok(None)
        }
        other => other,
    }
}

fn page_rows(limit: usize) -> usize {
    if limit == 0 { PAGE_ROWS_MAX } else { limit.min(PAGE_ROWS_MAX) }
}

fn event_fits(rows: &Rows, query: &EventQuery, event: &Event) -> Result<bool, Fault> {
    let envelope = &event.envelope;
    let plain = query.event_type.as_ref().is_none_or(|wanted| *wanted == envelope.event_type)
        && query.provider_id.as_ref().is_none_or(|wanted| *wanted == envelope.provider_id);
    if plain && query.routing == Some(Routing::Routed) {
        let verdict = decision(rows, event.id)?.map(|decision| decision.verdict);
        return Ok(matches!(verdict, Some(Verdict::Deliver(_))));
    }
    Ok(plain)
}

/// The event next to `at` in the table; the first, or newest, where `at` is `None`. Jumps over an event's chunks.
fn next_id(
    rows: &Rows,
    table: u8,
    at: Option<EventId>,
    newest_first: bool,
) -> Result<Option<EventId>, Fault> {
    let mut at = at;
    loop {
        let next = if newest_first {
            let end = at.map_or_else(|| keys::after(&[table]), |id| keys::of_event(table, id));
            rows.keys_back(vec![table]..end).next()
        } else {
            let start = at.map_or_else(|| vec![table], |id| keys::after(&keys::of_event(table, id)));
            rows.keys(start..keys::after(&[table])).next()
        };
        let Some(next) = next else { return Ok(None) };
        let id = keys::event_in(&next?).ok_or_else(|| Fault::corrupt("a key of an event table"))?;
        // An event whose first chunk is not there yet is still being written: nobody has heard of it.
        if table != keys::EVENTS || View::get(rows, &keys::chunk(&keys::of_event(table, id), 0))?.is_some() {
            return Ok(Some(id));
        }
        at = Some(id);
    }
}

/// Keys under `prefix`, beyond `after`.
fn keys_under(rows: &Rows, prefix: &[u8], after: Option<Vec<u8>>, newest_first: bool) -> Keys {
    let (first, end) = (prefix.to_vec(), keys::after(prefix));
    if newest_first {
        return rows.keys_back(first..after.map_or_else(|| end.clone(), |after| after.min(end.clone())));
    }
    let start = after.map_or(first.clone(), |after| [after.as_slice(), &[0]].concat().max(first));
    rows.keys(start..end)
}
