//! Deliveries and their indexes, which move together: `q` (wants attention) and `w` (how many do), `l` (dead), and the totals.

use super::codec::{self, DeliveryRow};
use super::events::{Record, Scan, View};
use super::fault::Fault;
use super::keys;
use super::round::Round;
use super::waiting;
use crate::model::attempt::Attempt;
use crate::model::delivery::{Delivery, DeliveryState, LeaseToken};
use crate::model::ids::{DeliveryId, EventId};
use crate::model::limits::FIRST_ATTEMPT_BYTES_MAX;
use crate::store::{Counts, StoreError};

/// The delivery by that id.
pub(super) fn get(view: &impl View, id: &DeliveryId) -> Result<Option<Delivery>, Fault> {
    Ok(row(view, id)?.map(|row| row.delivery))
}

/// Its row, whole: what whoever changes it writes back.
pub(super) fn row(view: &impl View, id: &DeliveryId) -> Result<Option<DeliveryRow>, Fault> {
    let row = view.get(&keys::delivery(keys::DELIVERIES, id))?;
    row.map(|row| codec::decode_delivery(id.clone(), &row))
        .transpose()
        .map_err(|why| Fault::corrupt(format!("delivery {id}: {why}")))
}

/// The ids of an event's deliveries.
pub(super) fn ids_of(view: &impl Scan, event: EventId) -> Result<Vec<DeliveryId>, Fault> {
    let prefix = keys::of_event(keys::DELIVERIES, event);
    let keys = view.scan(&prefix, &prefix, usize::MAX)?;
    keys.iter().map(|key| keys::delivery_in(key).ok_or_else(|| Fault::corrupt("a delivery's key"))).collect()
}

/// Writes `after` over `before` (`None` for a new one) and moves its index rows and the totals along.
pub(super) fn put_delivery(
    round: &mut Round,
    before: Option<&Delivery>,
    row: &DeliveryRow,
) -> Result<(), Fault> {
    let after = &row.delivery;
    if let Some(before) = before {
        down(count_of(&mut round.standing.totals.counts, &before.state));
        if let Some(at) = before.state.wakes_at() {
            round.remove(keys::due(&before.id, at));
        }
        if matches!(before.state, DeliveryState::Dead { .. }) {
            round.remove(keys::delivery(keys::DEAD, &before.id));
        }
    }
    round.put(keys::delivery(keys::DELIVERIES, &after.id), codec::encode_delivery(row))?;
    *count_of(&mut round.standing.totals.counts, &after.state) += 1;
    if let Some(at) = after.state.wakes_at() {
        round.put(keys::due(&after.id, at), Vec::new())?;
    }
    let waits = |delivery: &Delivery| delivery.state.wakes_at().is_some();
    match (before.is_some_and(waits), waits(after)) {
        (false, true) => waiting::more(round, &after.id.handler)?,
        (true, false) => waiting::fewer(round, &after.id.handler)?,
        (true, true) | (false, false) => {}
    }
    match after.state {
        DeliveryState::Dead { .. } => round.put(keys::delivery(keys::DEAD, &after.id), Vec::new())?,
        DeliveryState::Pending { .. } => round.ring(&after.id.handler),
        _ => {}
    }
    Ok(())
}

/// Records an attempt: the first with its delivery, where it is small, and every other under its number. The delivery's row
/// is to be put after it.
pub(super) fn put_attempt(
    round: &mut Round,
    row: &mut DeliveryRow,
    attempt: &Attempt,
) -> Result<(), StoreError> {
    let encoded = codec::encode_attempt(attempt);
    if attempt.number == 1 && encoded.len() <= FIRST_ATTEMPT_BYTES_MAX {
        row.first = Some(encoded);
        return Ok(());
    }
    round.put_record(&keys::attempt(&row.delivery.id, attempt.number), &Record::plain(&encoded))
}

/// A token that no lease before it had.
pub(super) fn fresh_token() -> LeaseToken {
    LeaseToken(rand::random())
}

/// One fewer. A store whose totals are wrong goes on; `doctor` tells of them.
pub(super) fn down(count: &mut u64) {
    *count = count.saturating_sub(1);
}

/// The count that a delivery in this state is in.
pub(super) fn count_of<'a>(counts: &'a mut Counts, state: &DeliveryState) -> &'a mut u64 {
    match state {
        DeliveryState::Pending { .. } => &mut counts.pending,
        DeliveryState::Leased { .. } => &mut counts.leased,
        DeliveryState::Delivered { .. } => &mut counts.delivered,
        DeliveryState::Ignored { .. } => &mut counts.ignored,
        DeliveryState::Dead { .. } => &mut counts.dead,
        DeliveryState::Cancelled { .. } => &mut counts.cancelled,
    }
}
