//! Rows as bytes: a version byte, then postcard of a mirror type.
//!
//! The mirrors are frozen: what was written once must be read for ever, and postcard has no field names. To change one,
//! add a `…V2` beside it with the next version byte and keep reading the old; `golden` in the tests holds the bytes still.
//! Texts that a plugin wrote are cut to their limits here, so that no row grows beyond a chunk.

mod mirror;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use mirror::{AttemptV1, BesideV2, DeliveryV1, DetailV1, MetaV1, OutcomeV1, ReasonV1, StateV1, VerdictV1};

use super::keys::HASH_BYTES;
use crate::model::attempt::{Attempt, Detail, Outcome};
use crate::model::clock::UnixMillis;
use crate::model::delivery::{DeadReason, Delivery, DeliveryState, LeaseToken};
use crate::model::event::Envelope;
use crate::model::ids::{
    DeliveryId, EventId, HandlerName, IdempotencyKey, RuleName, SnapshotHash, SourceName,
};
use crate::model::limits::{ATTEMPT_LOG_LINES_MAX, DETAIL_BYTES_MAX, KEY_BYTES_MAX, LOG_LINE_BYTES_MAX};
use crate::model::memory::KvValue;
use crate::model::verdict::{Assignment, Decision, Verdict};
use crate::store::Counts;

/// Most rows fit, so that few are moved while they are written.
const USUAL_BYTES: usize = 256;

const V1: u8 = 1;
const V2: u8 = 2;

/// How many of what there are, and how many events there ever were. Changes in the same batch as the rows it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) counts: Counts,
    /// Never goes down, so that a store which lost events can be told from one that pruned them.
    pub(super) appended: u64,
}

/// How far a step came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StepRow {
    Begun,
    Done(Vec<u8>),
}

/// Everything of the envelope but its body.
pub(super) fn encode_meta(envelope: &Envelope) -> Vec<u8> {
    pack(&MetaV1 {
        source: envelope.source.as_str().to_owned(),
        idempotency_key: envelope.idempotency_key.as_str().to_owned(),
        provider_id: envelope.provider_id.clone(),
        event_type: envelope.event_type.clone(),
        account: envelope.account.clone(),
        livemode: envelope.livemode,
        content_type: envelope.content_type.clone(),
        headers: envelope.headers.clone(),
        received: envelope.received.0,
    })
}

pub(super) fn decode_meta(bytes: &[u8], body: Bytes) -> Result<Envelope, String> {
    let meta: MetaV1 = unpack(bytes)?;
    Ok(Envelope {
        source: SourceName::new(&meta.source),
        idempotency_key: IdempotencyKey::new(&meta.idempotency_key),
        provider_id: meta.provider_id,
        event_type: meta.event_type,
        account: meta.account,
        livemode: meta.livemode,
        content_type: meta.content_type,
        headers: meta.headers,
        body,
        received: UnixMillis(meta.received),
    })
}

/// What stands under an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyEntry {
    pub(super) event: EventId,
    /// The second half of the key's hash. `None` in rows of the first version: there the event tells the whole key.
    pub(super) rest: Option<[u8; HASH_BYTES]>,
}

pub(super) fn encode_key_entry(event: EventId, received: UnixMillis, rest: [u8; HASH_BYTES]) -> Vec<u8> {
    pack_as(V2, &(event.to_bytes(), received.0, rest))
}

/// As the first version wrote it.
pub(super) fn encode_key_entry_v1(event: EventId, received: UnixMillis) -> Vec<u8> {
    pack(&(event.to_bytes(), received.0))
}

pub(super) fn decode_key_entry(bytes: &[u8]) -> Result<KeyEntry, String> {
    if bytes.first() == Some(&V1) {
        let (event, _) = unpack::<([u8; 16], u64)>(bytes)?;
        return Ok(KeyEntry { event: EventId::from_bytes(event), rest: None });
    }
    let (event, _, rest) = unpack_as::<([u8; 16], u64, [u8; HASH_BYTES])>(V2, bytes)?;
    Ok(KeyEntry { event: EventId::from_bytes(event), rest: Some(rest) })
}

/// What a tombstone holds: where its event's idempotency key stands.
pub(super) fn encode_tombstone(row: [u8; HASH_BYTES]) -> Vec<u8> {
    pack(&row)
}

pub(super) fn decode_tombstone(bytes: &[u8]) -> Result<[u8; HASH_BYTES], String> {
    unpack(bytes)
}

/// What a mark "unrouted" or "dropped" holds: when that was decided.
pub(super) fn encode_decided(at: UnixMillis) -> Vec<u8> {
    pack(&at.0)
}

/// `None` in marks of the first version, which hold nothing.
pub(super) fn decode_decided(bytes: &[u8]) -> Result<Option<UnixMillis>, String> {
    if bytes.is_empty() { Ok(None) } else { unpack(bytes).map(UnixMillis).map(Some) }
}

/// Without shadow matches in the first format, which older versions read too.
pub(super) fn encode_decision(decision: &Decision) -> Vec<u8> {
    let verdict = match &decision.verdict {
        Verdict::Deliver(to) => VerdictV1::Deliver(
            to.iter().map(|one| (one.handler.as_str().to_owned(), one.rule.as_str().to_owned())).collect(),
        ),
        Verdict::Unrouted { reason } => VerdictV1::Unrouted(cut(reason, DETAIL_BYTES_MAX)),
        Verdict::Dropped { rule, reason } => {
            VerdictV1::Dropped(rule.as_str().to_owned(), cut(reason, DETAIL_BYTES_MAX))
        }
    };
    let snapshot = decision.snapshot.as_str();
    if decision.shadows.is_empty() {
        return pack(&(snapshot, verdict));
    }
    let shadows: Vec<&str> = decision.shadows.iter().map(RuleName::as_str).collect();
    pack_as(V2, &(snapshot, verdict, shadows))
}

pub(super) fn decode_decision(bytes: &[u8]) -> Result<Decision, String> {
    let (snapshot, verdict, shadows): (String, VerdictV1, Vec<String>) = match bytes.first() {
        Some(&V2) => unpack_as(V2, bytes)?,
        _ => unpack(bytes).map(|(snapshot, verdict)| (snapshot, verdict, Vec::new()))?,
    };
    let shadows = shadows.iter().map(|rule| RuleName::new(rule)).collect();
    let verdict = match verdict {
        VerdictV1::Deliver(to) => Verdict::Deliver(
            to.iter()
                .map(|(handler, rule)| Assignment {
                    handler: HandlerName::new(handler),
                    rule: RuleName::new(rule),
                })
                .collect(),
        ),
        VerdictV1::Unrouted(reason) => Verdict::Unrouted { reason },
        VerdictV1::Dropped(rule, reason) => Verdict::Dropped { rule: RuleName::new(&rule), reason },
    };
    Ok(Decision { snapshot: SnapshotHash::new(&snapshot), verdict, shadows })
}

/// A delivery's row, which spares what mostly comes with a delivery rows of its own: each costs sled as much as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeliveryRow {
    pub(super) delivery: Delivery,
    /// The delivery is all that was decided on its event, and the decision has no row.
    pub(super) decides: bool,
    /// The row of the first attempt, once that has ended, where it is small.
    pub(super) first: Option<Vec<u8>>,
}

impl DeliveryRow {
    /// What was decided on the event, where this row says it.
    pub(super) fn decision(&self) -> Option<Decision> {
        let Delivery { id, rule, snapshot, .. } = &self.delivery;
        let one = Assignment { handler: id.handler.clone(), rule: rule.clone() };
        let verdict = Verdict::Deliver(vec![one]);
        self.decides.then(|| Decision { snapshot: snapshot.clone(), verdict, shadows: Vec::new() })
    }
}

/// Where nothing stands beside the delivery in the first format.
pub(super) fn encode_delivery(row: &DeliveryRow) -> Vec<u8> {
    let DeliveryRow { delivery, decides, first } = row;
    let state = match &delivery.state {
        DeliveryState::Pending { due } => StateV1::Pending(due.0),
        DeliveryState::Leased { until, token } => StateV1::Leased(until.0, token.0),
        DeliveryState::Delivered { at } => StateV1::Delivered(at.0),
        DeliveryState::Ignored { at } => StateV1::Ignored(at.0),
        DeliveryState::Dead { at, reason } => StateV1::Dead(at.0, reason_row(reason)),
        DeliveryState::Cancelled { at } => StateV1::Cancelled(at.0),
    };
    let row = DeliveryV1 {
        rule: delivery.rule.as_str().to_owned(),
        snapshot: delivery.snapshot.as_str().to_owned(),
        created: delivery.created.0,
        attempts: delivery.attempts,
        state,
    };
    if !decides && first.is_none() {
        return pack(&row);
    }
    pack_as(V2, &(row, BesideV2 { decides: *decides, first: first.clone() }))
}

pub(super) fn decode_delivery(id: DeliveryId, bytes: &[u8]) -> Result<DeliveryRow, String> {
    let nothing = BesideV2 { decides: false, first: None };
    let (row, beside): (DeliveryV1, BesideV2) = match bytes.first() {
        Some(&V2) => unpack_as(V2, bytes)?,
        _ => (unpack(bytes)?, nothing),
    };
    let state = match row.state {
        StateV1::Pending(due) => DeliveryState::Pending { due: UnixMillis(due) },
        StateV1::Leased(until, token) => {
            DeliveryState::Leased { until: UnixMillis(until), token: LeaseToken(token) }
        }
        StateV1::Delivered(at) => DeliveryState::Delivered { at: UnixMillis(at) },
        StateV1::Ignored(at) => DeliveryState::Ignored { at: UnixMillis(at) },
        StateV1::Dead(at, reason) => {
            let reason = match reason {
                ReasonV1::Rejected(code, message) => DeadReason::Rejected { code, message },
                ReasonV1::Spent(attempts, last) => DeadReason::Spent { attempts, last },
                ReasonV1::Crashed(crashes, last) => DeadReason::Crashed { crashes, last },
            };
            DeliveryState::Dead { at: UnixMillis(at), reason }
        }
        StateV1::Cancelled(at) => DeliveryState::Cancelled { at: UnixMillis(at) },
    };
    let delivery = Delivery {
        id,
        rule: RuleName::new(&row.rule),
        snapshot: SnapshotHash::new(&row.snapshot),
        created: UnixMillis(row.created),
        attempts: row.attempts,
        state,
    };
    Ok(DeliveryRow { delivery, decides: beside.decides, first: beside.first })
}

pub(super) fn encode_attempt(attempt: &Attempt) -> Vec<u8> {
    let outcome = match &attempt.outcome {
        Outcome::Done(detail) => OutcomeV1::Done(detail_row(detail)),
        Outcome::Ignore(detail) => OutcomeV1::Ignore(detail_row(detail)),
        Outcome::Retry { after, detail } => OutcomeV1::Retry(*after, detail_row(detail)),
        Outcome::Reject(detail) => OutcomeV1::Reject(detail_row(detail)),
        Outcome::TimedOut { limit } => OutcomeV1::TimedOut(*limit),
        Outcome::Crashed { what } => OutcomeV1::Crashed(cut(what, DETAIL_BYTES_MAX)),
        Outcome::Interrupted => OutcomeV1::Interrupted,
    };
    let surplus = attempt.log.len().saturating_sub(ATTEMPT_LOG_LINES_MAX);
    pack(&AttemptV1 {
        number: attempt.number,
        started: attempt.started.0,
        duration: attempt.duration,
        outcome,
        log: attempt.log[surplus..].iter().map(|line| cut(line, LOG_LINE_BYTES_MAX)).collect(),
    })
}

pub(super) fn decode_attempt(bytes: &[u8]) -> Result<Attempt, String> {
    let row: AttemptV1 = unpack(bytes)?;
    let outcome = match row.outcome {
        OutcomeV1::Done(detail) => Outcome::Done(detail_of(detail)),
        OutcomeV1::Ignore(detail) => Outcome::Ignore(detail_of(detail)),
        OutcomeV1::Retry(after, detail) => Outcome::Retry { after, detail: detail_of(detail) },
        OutcomeV1::Reject(detail) => Outcome::Reject(detail_of(detail)),
        OutcomeV1::TimedOut(limit) => Outcome::TimedOut { limit },
        OutcomeV1::Crashed(what) => Outcome::Crashed { what },
        OutcomeV1::Interrupted => Outcome::Interrupted,
    };
    Ok(Attempt {
        number: row.number,
        started: UnixMillis(row.started),
        duration: row.duration,
        outcome,
        log: row.log,
    })
}

pub(super) fn encode_step(step: &StepRow) -> Vec<u8> {
    pack(&match step {
        StepRow::Begun => None,
        StepRow::Done(memo) => Some(memo.as_slice()),
    })
}

pub(super) fn decode_step(bytes: &[u8]) -> Result<StepRow, String> {
    Ok(unpack::<Option<Vec<u8>>>(bytes)?.map_or(StepRow::Begun, StepRow::Done))
}

pub(super) fn encode_pair(value: &[u8], version: u64) -> Vec<u8> {
    pack(&(version, value))
}

pub(super) fn decode_pair(bytes: &[u8]) -> Result<KvValue, String> {
    unpack::<(u64, Vec<u8>)>(bytes).map(|(version, value)| KvValue { value, version })
}

pub(super) fn encode_totals(totals: &Totals) -> Vec<u8> {
    let c = &totals.counts;
    pack(&[
        c.events,
        c.to_route,
        c.unrouted,
        c.dropped,
        c.pending,
        c.leased,
        c.delivered,
        c.ignored,
        c.dead,
        c.cancelled,
        totals.appended,
    ])
}

pub(super) fn decode_totals(bytes: &[u8]) -> Result<Totals, String> {
    let [events, to_route, unrouted, dropped, pending, leased, delivered, ignored, dead, cancelled, appended] =
        unpack::<[u64; 11]>(bytes)?;
    let counts =
        Counts { events, to_route, unrouted, dropped, pending, leased, delivered, ignored, dead, cancelled };
    Ok(Totals { counts, appended })
}

fn reason_row(reason: &DeadReason) -> ReasonV1 {
    match reason {
        DeadReason::Rejected { code, message } => {
            ReasonV1::Rejected(cut(code, KEY_BYTES_MAX), cut(message, DETAIL_BYTES_MAX))
        }
        DeadReason::Spent { attempts, last } => ReasonV1::Spent(*attempts, cut(last, DETAIL_BYTES_MAX)),
        DeadReason::Crashed { crashes, last } => ReasonV1::Crashed(*crashes, cut(last, DETAIL_BYTES_MAX)),
    }
}

fn detail_row(detail: &Detail) -> DetailV1 {
    (
        cut(&detail.code, KEY_BYTES_MAX),
        cut(&detail.message, DETAIL_BYTES_MAX),
        detail.result.as_ref().map(|result| cut(result, DETAIL_BYTES_MAX)),
    )
}

fn detail_of((code, message, result): DetailV1) -> Detail {
    Detail { code, message, result }
}

/// At most `max` bytes, never within a character.
fn cut(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

pub(super) fn pack<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    pack_as(V1, value)
}

fn pack_as<T: Serialize + ?Sized>(version: u8, value: &T) -> Vec<u8> {
    let mut row = Vec::with_capacity(USUAL_BYTES);
    row.push(version);
    postcard::to_extend(value, row).expect("writing plain data into a Vec cannot fail")
}

pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    unpack_as(V1, bytes)
}

fn unpack_as<T: DeserializeOwned>(known: u8, bytes: &[u8]) -> Result<T, String> {
    let (version, rest) = bytes.split_first().ok_or("the row is empty")?;
    if *version != known {
        return Err(format!("the row is in format {version}; this hookyard reads format {known}"));
    }
    let (value, left) =
        postcard::take_from_bytes(rest).map_err(|error| format!("the row is damaged: {error}"))?;
    if !left.is_empty() {
        return Err(format!("the row has {} bytes too many", left.len()));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
