//! What every engine refuses before it writes anything: names, keys and values beyond their limits.

use super::{Erasure, StoreError};
use crate::model::attempt::Attempt;
use crate::model::event::Envelope;
use crate::model::ids::StepId;
use crate::model::limits::{
    ERASED_BODY_BYTES_MAX, EVENT_BODY_BYTES_MAX, EVENT_META_BYTES_MAX, KEY_BYTES_MAX, MEMO_BYTES_MAX,
};
use crate::model::verdict::{Decision, Verdict};

/// A name that becomes part of a row's key: a handler, a plugin, a rule.
pub(super) fn name(what: &'static str, text: &str) -> Result<(), StoreError> {
    within(what, text.len(), KEY_BYTES_MAX)
}

/// A step's handler and name.
pub(super) fn step(step: &StepId) -> Result<(), StoreError> {
    name("a handler's name", step.delivery.handler.as_str())?;
    name("a step's name", &step.step)
}

/// What a step remembers.
pub(super) fn memo(memo: &[u8]) -> Result<(), StoreError> {
    within("a step's memo", memo.len(), MEMO_BYTES_MAX)
}

/// A key-value pair's key.
pub(super) fn key(key: &[u8]) -> Result<(), StoreError> {
    within("a key", key.len(), KEY_BYTES_MAX)
}

/// A key-value pair's value.
pub(super) fn value(value: &[u8]) -> Result<(), StoreError> {
    within("a value", value.len(), MEMO_BYTES_MAX)
}

/// An event: its body, and the rest of it together.
pub(super) fn envelope(envelope: &Envelope) -> Result<(), StoreError> {
    let headers: usize = envelope.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let words = envelope.source.as_str().len()
        + envelope.idempotency_key.as_str().len()
        + envelope.provider_id.len()
        + envelope.event_type.len()
        + envelope.account.as_ref().map_or(0, String::len)
        + envelope.content_type.len();
    within("an event's ids and headers", words + headers, EVENT_META_BYTES_MAX)?;
    within("an event's body", envelope.body.len(), EVENT_BODY_BYTES_MAX)
}

/// What is left of an event.
pub(super) fn erasure(erasure: &Erasure) -> Result<(), StoreError> {
    let headers: usize = erasure.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    within("an event's headers", headers, EVENT_META_BYTES_MAX)?;
    within("an erased body", erasure.body.len(), ERASED_BODY_BYTES_MAX)?;
    let attempts = erasure.attempts.iter().map(|(_, attempt)| attempt_bytes(attempt)).sum();
    within("what is said of an event's attempts", attempts, ERASED_BODY_BYTES_MAX)?;
    erasure.memos.iter().try_for_each(|(id, left)| step(id).and_then(|()| memo(left)))?;
    within("what an event's steps remember", memos_bytes(erasure), ERASED_BODY_BYTES_MAX)
}

/// What the steps of an erased event remember.
pub(super) fn memos_bytes(erasure: &Erasure) -> usize {
    erasure.memos.iter().map(|(step, memo)| step.step.len() + memo.len() + 100).sum()
}

/// About what an attempt takes.
pub(super) fn attempt_bytes(attempt: &Attempt) -> usize {
    let detail = attempt.outcome.detail();
    let result = detail.and_then(|detail| detail.result.as_ref()).map_or(0, String::len);
    let log: usize = attempt.log.iter().map(String::len).sum();
    200 + attempt.outcome.message().len() + result + log
}

/// The names in a decision.
pub(super) fn decision(decision: &Decision) -> Result<(), StoreError> {
    decision.shadows.iter().try_for_each(|rule| name("a rule's name", rule.as_str()))?;
    match &decision.verdict {
        Verdict::Deliver(to) => to.iter().try_for_each(|one| {
            name("a handler's name", one.handler.as_str())?;
            name("a rule's name", one.rule.as_str())
        }),
        Verdict::Dropped { rule, .. } => name("a rule's name", rule.as_str()),
        Verdict::Unrouted { .. } => Ok(()),
    }
}

fn within(what: &'static str, bytes: usize, max: usize) -> Result<(), StoreError> {
    if bytes > max { Err(StoreError::TooLarge { what, bytes, max }) } else { Ok(()) }
}
