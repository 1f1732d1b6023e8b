//! Rows that cannot be read: out of the way of the others, and kept.
//!
//! One damaged row must not stop routing, a handler, or a start. Whoever scans a queue (`reads::to_route`, `lease`,
//! `take_back`) hands such a row to these commands. An event that cannot be read is settled as unrouted, where an operator
//! sees it; an index row that leads nowhere is moved to the table of rows set aside. Nothing is deleted: `verify` tells of
//! each, and both moves are part of a commit like any other.

use super::codec::DeliveryRow;
use super::commands;
use super::deliveries;
use super::events::{View, read_event};
use super::fault::Fault;
use super::keys;
use super::round::Round;
use super::waiting;
use crate::model::clock::UnixMillis;
use crate::model::ids::{EventId, SnapshotHash};
use crate::model::verdict::{Decision, Verdict};
use crate::store::StoreError;

/// The snapshot of a decision that no configuration made.
const NO_SNAPSHOT: &str = "-";

/// Takes the marks "to be routed" of events that cannot be read out of the inbox: such an event is unrouted, and the
/// reason says why. A mark that names no event at all is moved aside. Marks that were settled meanwhile, and events that
/// can be read after all, are left as they are.
pub(super) fn settle_unreadable(round: &mut Round, marks: &[Vec<u8>]) -> Result<(), Fault> {
    for mark in marks {
        if round.get(mark)?.is_none() {
            continue;
        }
        let Some(id) = keys::mark_in(mark) else {
            tracing::error!(row = %hex::encode(mark), "a mark to be routed names no event; moving it aside");
            move_aside(round, mark)?;
            deliveries::down(&mut round.standing.totals.counts.to_route);
            continue;
        };
        let Some(why) = unreadable(round, id)? else { continue };
        tracing::error!(event = %id, %why, "an event that waits for routing cannot be read; it is kept as unrouted");
        let verdict = Verdict::Unrouted { reason: format!("unreadable: {why}") };
        let snapshot = SnapshotHash::new(NO_SNAPSHOT);
        commands::route(round, &[(id, Decision { snapshot, verdict, shadows: Vec::new() })])?;
    }
    Ok(())
}

/// The delivery that a row of the due index stands for, and when it is due. `None` where the row leads to none that can
/// be read and is due then: it has been moved aside.
pub(super) fn due_delivery(
    round: &mut Round,
    key: &[u8],
) -> Result<Option<(DeliveryRow, UnixMillis)>, Fault> {
    let why = match keys::due_in(key) {
        None => "its key names no delivery".to_owned(),
        Some((id, due)) => match deliveries::row(round, &id) {
            Ok(Some(row)) if row.delivery.state.wakes_at() == Some(due) => return Ok(Some((row, due))),
            Ok(Some(row)) => format!("delivery {id} is {} and not due then", row.delivery.state.word()),
            Ok(None) => format!("delivery {id} is missing"),
            Err(fault) => words(fault)?,
        },
    };
    tracing::error!(row = %hex::encode(key), %why, "a row of the due index is of no use; moving it aside");
    move_aside(round, key)?;
    if let Some((id, _)) = keys::due_in(key) {
        waiting::fewer(round, &id.handler)?;
    }
    Ok(None)
}

/// Why an event cannot be read; `None` where it can.
fn unreadable(round: &Round, id: EventId) -> Result<Option<String>, Fault> {
    match read_event(round, id, true) {
        Ok(Some(_)) => Ok(None),
        Ok(None) => Ok(Some(format!("event {id} is missing"))),
        Err(fault) => words(fault).map(Some),
    }
}

/// What is wrong with one row; a failure of sled itself is passed on.
fn words(fault: Fault) -> Result<String, Fault> {
    match fault {
        Fault::Refused(StoreError::Corrupt { what }) => Ok(what),
        other => Err(other),
    }
}

/// Moves a row out of the way of the others; whoever finds it there knows that it leads nowhere.
pub(super) fn move_aside(round: &mut Round, key: &[u8]) -> Result<(), Fault> {
    let value = round.get(key)?.map(|value| value.to_vec()).unwrap_or_default();
    round.put(keys::aside(key), value)?;
    round.remove(key.to_vec());
    Ok(())
}
