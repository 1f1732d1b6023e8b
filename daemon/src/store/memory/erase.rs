//! Erases in the plain model: the words that are given take the place of those that were there.

use super::State;
use crate::model::delivery::DeliveryState;
use crate::model::ids::EventId;
use crate::store::Erasure;

/// `false` where there is no such event, or it is unfinished and not to be touched then.
pub(super) fn erase(state: &mut State, id: EventId, erasure: Erasure) -> bool {
    let deliveries = state.deliveries.iter().filter(|(of, _)| of.event == id);
    let waits = deliveries.map(|(_, delivery)| delivery.state.wakes_at()).any(|at| at.is_some());
    let unfinished = waits || state.to_route.contains(&id);
    if !state.events.contains_key(&id) || (unfinished && !erasure.even_unfinished) {
        return false;
    }
    for (delivery, attempt) in erasure.attempts {
        let attempts = state.attempts.entry(delivery).or_default();
        for before in attempts.iter_mut().filter(|before| before.number == attempt.number) {
            *before = attempt.clone();
        }
    }
    for (delivery, told) in erasure.reasons {
        if let Some(DeliveryState::Dead { reason, .. }) =
            state.deliveries.get_mut(&delivery).map(|delivery| &mut delivery.state)
        {
            *reason = told;
        }
    }
    for (step, memo) in erasure.memos {
        if let Some(Some(before)) = state.steps.get_mut(&step) {
            *before = memo;
        }
    }
    if let Some(event) = state.events.get_mut(&id) {
        (event.envelope.body, event.envelope.headers) = (erasure.body, erasure.headers);
    }
    true
}
