//! How long what is finished is kept: `[store] retain`.
//!
//! Each part of an event keeps the whole of it for its own time; an event goes when nothing keeps it any more. What is not
//! finished keeps it without end. The store asks here and removes; this is pure.

use std::time::Duration;

use super::clock::UnixMillis;
use super::delivery::DeliveryState;
use super::ids::EventId;
use super::limits::{RETAIN_DEAD_DEFAULT, RETAIN_DELIVERED_DEFAULT, RETAIN_KEYS_DEFAULT};
use super::verdict::Verdict;

/// `[store] retain`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// For what is delivered, ignored or cancelled, from when it was; for what a rule dropped, from when it was dropped.
    pub delivered: Duration,
    /// For dead letters and unrouted events, from when they became so.
    pub dead: Duration,
    /// For idempotency keys, from when their event was received. A key never goes before its event.
    pub keys: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { delivered: RETAIN_DELIVERED_DEFAULT, dead: RETAIN_DEAD_DEFAULT, keys: RETAIN_KEYS_DEFAULT }
    }
}

impl Retention {
    /// No event younger than this is ever removed.
    pub fn shortest(&self) -> Duration {
        self.delivered.min(self.dead)
    }

    /// Until when a delivery keeps its event; `None` while it is not finished.
    pub fn delivery_keeps_until(&self, state: &DeliveryState) -> Option<UnixMillis> {
        match state {
            DeliveryState::Pending { .. } | DeliveryState::Leased { .. } => None,
            DeliveryState::Delivered { at }
            | DeliveryState::Ignored { at }
            | DeliveryState::Cancelled { at } => Some(at.plus(self.delivered)),
            DeliveryState::Dead { at, .. } => Some(at.plus(self.dead)),
        }
    }

    /// Until when an event that has no deliveries is kept, which was decided upon at `at`.
    pub fn verdict_keeps_until(&self, verdict: &Verdict, at: UnixMillis) -> UnixMillis {
        match verdict {
            Verdict::Unrouted { .. } => at.plus(self.dead),
            Verdict::Dropped { .. } | Verdict::Deliver(_) => at.plus(self.delivered),
        }
    }

    /// Until when the event's idempotency key is kept.
    pub fn key_kept_until(&self, event: EventId) -> UnixMillis {
        UnixMillis(event.millis()).plus(self.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::{DeadReason, LeaseToken};
    use crate::model::ids::RuleName;

    const DAY: u64 = 86_400_000;

    #[test]
    fn each_state_keeps_its_event_for_its_own_time() {
        let retention = Retention::default();
        let at = UnixMillis(7);
        let keeps = |state| retention.delivery_keeps_until(&state).map(|until| until.0);
        assert_eq!(keeps(DeliveryState::Pending { due: at }), None);
        assert_eq!(keeps(DeliveryState::Leased { until: at, token: LeaseToken(1) }), None);
        assert_eq!(keeps(DeliveryState::Delivered { at }), Some(7 + 30 * DAY));
        assert_eq!(keeps(DeliveryState::Ignored { at }), Some(7 + 30 * DAY));
        assert_eq!(keeps(DeliveryState::Cancelled { at }), Some(7 + 30 * DAY));
        let reason = DeadReason::Spent { attempts: 1, last: String::new() };
        assert_eq!(keeps(DeliveryState::Dead { at, reason }), Some(7 + 180 * DAY));
    }

    #[test]
    fn what_was_never_delivered_is_kept_too() {
        let retention = Retention::default();
        let keeps = |verdict| retention.verdict_keeps_until(&verdict, UnixMillis(7)).0;
        let reason = String::new();
        assert_eq!(keeps(Verdict::Unrouted { reason: reason.clone() }), 7 + 180 * DAY);
        assert_eq!(keeps(Verdict::Dropped { rule: RuleName::new("r"), reason }), 7 + 30 * DAY);
        assert_eq!(retention.key_kept_until(EventId::from_parts(7, 9)).0, 7 + 35 * DAY);
        assert_eq!(retention.shortest(), RETAIN_DELIVERED_DEFAULT);
        assert_eq!(Retention { dead: Duration::ZERO, ..retention }.shortest(), Duration::ZERO);
    }
}
