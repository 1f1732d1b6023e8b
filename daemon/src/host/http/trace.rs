//! The W3C trace that a request belongs to: the event's own where it came with one, else one that is worked out from the
//! event's id. `docs/plugins/http.md` says how, so that both ends can be found by hand.

use sha2::{Digest, Sha256};

use crate::model::event::Event;
use crate::model::ids::{DeliveryId, EventId};

/// The one version that there is.
const VERSION: &str = "00";
/// A receiver that follows the flag keeps the trace; webhooks are few.
const SAMPLED: u8 = 1;

/// A trace: which one, and its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) struct Trace {
    id: [u8; 16],
    flags: u8,
}

impl Trace {
    /// The trace of an event.
    pub(in crate::host) fn of(event: &Event) -> Self {
        event.envelope.header("traceparent").and_then(parse).unwrap_or_else(|| Self::of_event(event.id))
    }

    /// The one that an event has by its id.
    pub(in crate::host) fn of_event(id: EventId) -> Self {
        Self { id: id.to_bytes(), flags: SAMPLED }
    }

    /// `traceparent` for the requests of one attempt.
    pub(super) fn parent(self, delivery: &DeliveryId, attempt: u32) -> String {
        let attempt = Sha256::digest(format!("{delivery}#{attempt}"));
        format!("{VERSION}-{}-{}-{:02x}", hex::encode(self.id), hex::encode(&attempt[..8]), self.flags)
    }
}

/// A `traceparent` of the version that there is; later ones begin alike, and are read so.
fn parse(text: &str) -> Option<Trace> {
    let mut parts = text.trim().split('-');
    let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_later = version != VERSION;
    if version.len() != 2 || version == "ff" || (!is_later && parts.next().is_some()) {
        return None;
    }
    let lower =
        [version, id, parent, flags].iter().all(|part| !part.bytes().any(|byte| byte.is_ascii_uppercase()));
    let (mut trace, mut span, mut bits) = ([0; 16], [0; 8], [0; 1]);
    hex::decode_to_slice(id, &mut trace).ok()?;
    hex::decode_to_slice(parent, &mut span).ok()?;
    hex::decode_to_slice(flags, &mut bits).ok()?;
    let valid = lower && trace != [0; 16] && span != [0; 8];
    valid.then_some(Trace { id: trace, flags: bits[0] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::HandlerName;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    fn delivery(handler: &str) -> DeliveryId {
        let event: EventId = "01JD5Y3V0Q8Z6M4T2K9W7B1C5R".parse().unwrap();
        DeliveryId { event, handler: HandlerName::new(handler) }
    }

    #[test]
    fn an_event_without_one_is_its_own_trace_and_each_attempt_a_parent() {
        let delivery = delivery("sumo");
        let trace = Trace::of_event(delivery.event);
        let first = trace.parent(&delivery, 1);
        // printf '%s' '01JD5Y3V0Q8Z6M4T2K9W7B1C5R/sumo#1' | sha256sum
        assert_eq!(first, "00-01934be1ec1747cd4268534f0eb0b0b8-3ee0104a94895936-01");
        assert_eq!(trace.parent(&delivery, 1), first);
        assert_ne!(trace.parent(&delivery, 2), first);
        assert_ne!(trace.parent(&self::delivery("direct"), 1), first);
    }

    #[test]
    fn the_trace_that_an_event_came_with_goes_on_with_its_flags() {
        let given = parse(GIVEN).unwrap();
        let parent = given.parent(&delivery("sumo"), 1);
        assert!(
            parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && parent.ends_with("-00"),
            "{parent}"
        );
        assert!(!parent.contains("00f067aa0ba902b7"));
        assert_eq!(parse(&GIVEN.replacen("00", "cc", 1)), Some(given), "a later version begins alike");
    }

    #[test]
    fn what_is_no_traceparent_is_as_good_as_none() {
        for text in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
