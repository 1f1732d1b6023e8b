//! The idempotency key of a step, for the far side of an outward call. Both engines derive it here.
//!
//! It is an HMAC under a key that the store makes once and keeps, so it is the same over retries, restarts and reloads,
//! and nobody outside can guess it. Nothing is stored for it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::model::ids::StepId;

/// The secret that a store makes once, when it is created.
pub(super) type StoreKey = [u8; 32];

/// 64 lower-case hex digits: HMAC-SHA256 over handler, event and step. The handler's length goes in front of it, so
/// that no two steps ever feed the same bytes.
pub(super) fn step_key(store_key: &StoreKey, step: &StepId) -> String {
    let handler = step.delivery.handler.as_str().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(store_key).expect("HMAC takes a key of any length");
    mac.update(&(handler.len() as u64).to_be_bytes());
    mac.update(handler);
    mac.update(&step.delivery.event.to_bytes());
    mac.update(step.step.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{DeliveryId, EventId, HandlerName};

    fn step(handler: &str, name: &str) -> StepId {
        let event = EventId::from_bytes([7; 16]);
        StepId { delivery: DeliveryId { event, handler: HandlerName::new(handler) }, step: name.into() }
    }

    #[test]
    fn the_key_never_changes() {
        // Known answer, made with Python's hmac module: a change here would repeat every half-done outward call.
        let want = "54b0a3735006e594660947becf3e2cc9909aa8ded4b95610587ec7714f5ce2ff";
        assert_eq!(step_key(&[9; 32], &step("sumo", "user")), want);
    }

    #[test]
    fn no_two_steps_share_a_key() {
        assert_ne!(step_key(&[9; 32], &step("sumo", "user")), step_key(&[9; 32], &step("sumou", "ser")));
        assert_ne!(step_key(&[9; 32], &step("sumo", "user")), step_key(&[8; 32], &step("sumo", "user")));
    }
}
