//! Retention in the plain model: everything that is due goes at once.

use super::State;
use crate::model::clock::UnixMillis;
use crate::model::ids::EventId;
use crate::model::retention::Retention;
use crate::store::Pruned;

impl State {
    /// Removes what `retention` no longer keeps.
    pub(super) fn prune(&mut self, retention: &Retention, now: UnixMillis) -> Pruned {
        let gone: Vec<EventId> =
            self.events.keys().copied().filter(|id| self.may_go(*id, retention, now)).collect();
        for id in &gone {
            self.remove(*id);
        }
        let keys_before = self.keys.len();
        let events = &self.events;
        self.keys.retain(|_, id| events.contains_key(id) || retention.key_kept_until(*id) > now);
        Pruned {
            events: gone.len() as u64,
            keys: (keys_before - self.keys.len()) as u64,
            oldest: gone.first().copied(),
            ..Pruned::default()
        }
    }

    /// Whether nothing of the event is unfinished or younger than it is kept.
    fn may_go(&self, id: EventId, retention: &Retention, now: UnixMillis) -> bool {
        let Some((decision, decided)) = self.decisions.get(&id) else { return false };
        let mut deliveries = self.deliveries.values().filter(|delivery| delivery.id.event == id).peekable();
        if deliveries.peek().is_none() {
            return retention.verdict_keeps_until(&decision.verdict, *decided) <= now;
        }
        deliveries
            .all(|delivery| retention.delivery_keeps_until(&delivery.state).is_some_and(|until| until <= now))
    }

    /// Removes the event and everything that belongs to it, but its idempotency key.
    fn remove(&mut self, event: EventId) {
        self.events.remove(&event);
        self.decisions.remove(&event);
        self.deliveries.retain(|id, _| id.event != event);
        self.attempts.retain(|id, _| id.event != event);
        self.steps.retain(|id, _| id.delivery.event != event);
    }
}
