//! Leases in the plain model.

use std::sync::Arc;
use std::time::Duration;

use super::State;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::clock::UnixMillis;
use crate::model::delivery::{Delivery, DeliveryState, LeaseToken};
use crate::model::limits::LEASE_MAX;
use crate::store::{LeaseRequest, Leased, LeasedDelivery};

impl State {
    /// Takes what is due now.
    pub(super) fn take_due(&mut self, request: &LeaseRequest, now: UnixMillis) -> Leased {
        let mut leased = Leased::default();
        let fits = |delivery: &Delivery| {
            delivery.id.handler == request.handler && !request.except.contains(&delivery.id.event)
        };
        for (due, id) in self.waiting(fits) {
            if due > now || leased.deliveries.len() == request.max.min(LEASE_MAX) {
                leased.next_due = Some(due);
                break;
            }
            self.last_token += 1;
            let token = LeaseToken(self.last_token);
            let before = self.deliveries[&id].clone();
            if matches!(before.state, DeliveryState::Leased { .. }) {
                self.record(&id, interrupted(before.attempts, now));
            }
            let Some(delivery) = before.lease(now, now.plus(request.lease), token) else { continue };
            let event = Arc::new(self.events[&id.event].clone());
            self.deliveries.insert(id, delivery.clone());
            leased.deliveries.push(LeasedDelivery { delivery, token, event });
        }
        leased
    }
}

pub(super) fn interrupted(number: u32, now: UnixMillis) -> Attempt {
    Attempt { number, started: now, duration: Duration::ZERO, outcome: Outcome::Interrupted, log: Vec::new() }
}
