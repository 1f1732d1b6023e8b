//! Decisions in the plain model.

use super::State;
use crate::model::clock::UnixMillis;
use crate::model::delivery::Delivery;
use crate::model::ids::{DeliveryId, EventId};
use crate::model::verdict::{Decision, Verdict};
use crate::store::Routing;
use crate::store::wake::Wakes;

impl State {
    /// Stores a decision and makes its deliveries.
    pub(super) fn decide(&mut self, event: EventId, decision: Decision, now: UnixMillis, wakes: &Wakes) {
        if let Verdict::Deliver(to) = &decision.verdict {
            for one in to {
                let id = DeliveryId { event, handler: one.handler.clone() };
                let fresh = Delivery::new(id.clone(), one.rule.clone(), decision.snapshot.clone(), now);
                self.deliveries.entry(id).or_insert(fresh);
            }
            wakes.deliveries_changed();
        }
        self.decisions.insert(event, (decision, now));
    }

    /// Applies each decision whose event is unrouted, and that says otherwise. Says how many.
    pub(super) fn route_unrouted(
        &mut self,
        decisions: Vec<(EventId, Decision)>,
        now: UnixMillis,
        wakes: &Wakes,
    ) -> usize {
        let mut routed = 0;
        for (event, decision) in decisions {
            let stays = matches!(decision.verdict, Verdict::Unrouted { .. });
            if !stays && self.routing(event) == Some(Routing::Unrouted) {
                self.decide(event, decision, now, wakes);
                routed += 1;
            }
        }
        routed
    }
}
