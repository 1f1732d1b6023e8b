//! What changes the store, one function a command, each against a [`Round`].
//!
//! The writer runs them one after another, so no two ever meet; whatever they do lands in the same batch as the rest of
//! their round or not at all.

use std::collections::BTreeSet;

use super::aside;
use super::codec::{self, DeliveryRow, StepRow};
use super::deliveries::{self, down, put_attempt, put_delivery};
use super::events::{Record, View, read_event};
use super::fault::Fault;
use super::keys::{self, KeyHash};
use super::provisional;
use super::round::Round;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::clock::UnixMillis;
use crate::model::delivery::{Delivery, DeliveryState, LeaseToken};
use crate::model::event::{Appended, Envelope};
use crate::model::ids::{DeliveryId, EventId, IdempotencyKey, PluginId, SourceName, StepId};
use crate::model::limits::LEASE_MAX;
use crate::model::memory::{Expect, KvPut, KvValue, StepState};
use crate::model::verdict::{Assignment, Decision, Verdict};
use crate::store::{LeaseRequest, Settled, Settlement};

/// Leases that one round takes back; the caller asks again for the rest.
pub(super) const TAKE_BACK_ROWS: usize = 200;
/// Keys that share one hash of 128 bits: more than one of them will hardly ever be seen.
pub(super) const SLOTS_MAX: u8 = 16;

/// An envelope made ready by its caller: hashed, checksummed, encoded.
#[derive(Debug)]
pub(super) struct Prepared {
    source: SourceName,
    key: IdempotencyKey,
    pub(super) hash: KeyHash,
    pub(super) received: UnixMillis,
    pub(super) record: Record,
}

impl Prepared {
    pub(super) fn new(envelope: &Envelope) -> Self {
        Self {
            source: envelope.source.clone(),
            key: envelope.idempotency_key.clone(),
            hash: keys::idempotency_hash(&envelope.source, &envelope.idempotency_key),
            received: envelope.received,
            record: Record::of_event(envelope),
        }
    }

    /// What storing it writes, about.
    pub(super) fn bytes(&self) -> usize {
        self.record.bytes() + usize::from(self.record.chunks()) * 20 + 200
    }
}

/// What the idempotency key says: the event that holds it, or the slot where a new one goes.
pub(super) enum Known {
    Event(EventId),
    Slot(u8),
}

/// Looks the key up in table `k` or `p`; its event may be gone already. A row of another key only shares half the hash: the
/// next slot is looked at.
pub(super) fn lookup(round: &Round, table: u8, prepared: &Prepared) -> Result<Known, Fault> {
    for slot in 0..SLOTS_MAX {
        let Some(row) = round.get(&keys::idempotency(table, prepared.hash.row, slot))? else {
            return Ok(Known::Slot(slot));
        };
        let entry = codec::decode_key_entry(&row)
            .map_err(|why| Fault::corrupt(format!("an idempotency key's row: {why}")))?;
        let same = match entry.rest {
            Some(rest) => rest == prepared.hash.rest,
            None => is_key_of(round, entry.event, prepared)?,
        };
        if same {
            return Ok(Known::Event(entry.event));
        }
    }
    Err(Fault::corrupt(format!("{SLOTS_MAX} idempotency keys share one hash")))
}

/// Rows of the first version name only the event, which stands as long as they do.
fn is_key_of(round: &Round, id: EventId, prepared: &Prepared) -> Result<bool, Fault> {
    let event = read_event(round, id, false)?
        .ok_or_else(|| Fault::corrupt(format!("an idempotency key names event {id}, which is missing")))?;
    Ok(event.envelope.source == prepared.source && event.envelope.idempotency_key == prepared.key)
}

/// Stores an event that fits one round.
pub(super) fn append(round: &mut Round, prepared: &Prepared) -> Result<Appended, Fault> {
    if round.is_loading() {
        return provisional::append(round, prepared);
    }
    let slot = match lookup(round, keys::IDEMPOTENCY, prepared)? {
        Known::Event(id) => return Ok(Appended::Duplicate(id)),
        Known::Slot(slot) => slot,
    };
    round.refuse_if_full()?;
    let id = round.next_id();
    put_tail(round, prepared, id)?;
    make_visible(round, prepared, id, slot)?;
    Ok(Appended::New(id))
}

/// Writes an event's chunks but for the first.
pub(super) fn put_tail(round: &mut Round, prepared: &Prepared, id: EventId) -> Result<(), Fault> {
    let prefix = keys::of_event(keys::EVENTS, id);
    for number in 1..prepared.record.chunks() {
        round.put(keys::chunk(&prefix, number), prepared.record.chunk(number))?;
    }
    Ok(())
}

/// Writes what makes an event whose other chunks are written stand in the store.
pub(super) fn make_visible(
    round: &mut Round,
    prepared: &Prepared,
    id: EventId,
    slot: u8,
) -> Result<(), Fault> {
    let prefix = keys::of_event(keys::EVENTS, id);
    round.put(keys::chunk(&prefix, 0), prepared.record.chunk(0))?;
    enter(round, id, prepared, slot)
}

/// Writes what makes an event one of those that are known and to be routed.
pub(super) fn enter(round: &mut Round, id: EventId, prepared: &Prepared, slot: u8) -> Result<(), Fault> {
    let entry = codec::encode_key_entry(id, prepared.received, prepared.hash.rest);
    round.put(keys::idempotency(keys::IDEMPOTENCY, prepared.hash.row, slot), entry)?;
    round.put(keys::of_event(keys::INBOX, id), Vec::new())?;
    let totals = &mut round.standing.totals;
    totals.appended += 1;
    totals.counts.events += 1;
    totals.counts.to_route += 1;
    round.standing.rings_events = true;
    Ok(())
}

/// Applies each decision whose event still waits for one.
pub(super) fn route(round: &mut Round, decisions: &[(EventId, Decision)]) -> Result<(), Fault> {
    for (id, decision) in decisions {
        let mark = keys::of_event(keys::INBOX, *id);
        if round.get(&mark)?.is_none() {
            continue;
        }
        round.remove(mark);
        down(&mut round.standing.totals.counts.to_route);
        decide(round, *id, decision)?;
    }
    Ok(())
}

/// Stores a decision and what follows from it.
pub(super) fn decide(round: &mut Round, id: EventId, decision: &Decision) -> Result<(), Fault> {
    if let (Verdict::Deliver(to), []) = (&decision.verdict, decision.shadows.as_slice())
        && let [one] = to.as_slice()
        && deliver(round, id, decision, one, true)?
    {
        return Ok(());
    }
    let record = Record::plain(&codec::encode_decision(decision));
    round.put_record(&keys::of_event(keys::DECISIONS, id), &record)?;
    match &decision.verdict {
        Verdict::Deliver(to) => {
            for one in to {
                deliver(round, id, decision, one, false)?;
            }
        }
        Verdict::Unrouted { .. } => {
            round.put(keys::of_event(keys::UNROUTED, id), codec::encode_decided(round.now))?;
            round.standing.totals.counts.unrouted += 1;
        }
        Verdict::Dropped { .. } => {
            round.put(keys::of_event(keys::DROPPED, id), codec::encode_decided(round.now))?;
            round.standing.totals.counts.dropped += 1;
        }
    }
    Ok(())
}

/// Makes a delivery, where there is none yet, and says whether it did. `decides`: it is all that was decided.
fn deliver(
    round: &mut Round,
    event: EventId,
    decision: &Decision,
    to: &Assignment,
    decides: bool,
) -> Result<bool, Fault> {
    let id = DeliveryId { event, handler: to.handler.clone() };
    if deliveries::get(round, &id)?.is_some() {
        return Ok(false);
    }
    let delivery = Delivery::new(id, to.rule.clone(), decision.snapshot.clone(), round.now);
    put_delivery(round, None, &DeliveryRow { delivery, decides, first: None })?;
    Ok(true)
}

/// What a lease took, and when the handler's next delivery is due.
pub(super) type Taken = (Vec<(Delivery, LeaseToken)>, Option<UnixMillis>);

/// Takes what is due. A delivery whose lease ran out gets an attempt that says so.
pub(super) fn lease(round: &mut Round, request: &LeaseRequest) -> Result<Taken, Fault> {
    let max = request.max.min(LEASE_MAX);
    let prefix = keys::due_prefix(&request.handler);
    let until = round.now.plus(request.lease);
    let (mut taken, mut just_taken) = (Vec::new(), BTreeSet::new());
    // An event has one row here, so those excepted never hide the next one due. They are leased, so they stand behind all
    // that is due: more than the first page is hardly ever looked at.
    let mut left = max + 1 + request.except.len();
    let mut from = prefix.clone();
    // What is due first, and by itself: of that sled mostly has nothing, and is not asked.
    let (mut end, all) = (keys::due_after(&request.handler, round.now), keys::after(&prefix));
    while left > 0 {
        // What is under way stands behind all that is due, and is walked over in one go.
        let page = if end == all { left } else { left.min(max + 1) };
        let rows = if from == prefix {
            round.scan_due(&prefix, &end, page)?
        } else {
            round.scan_within(from.clone()..end.clone(), page)?
        };
        let end_reached = rows.len() < page;
        left -= rows.len();
        for key in rows {
            from.clone_from(&key);
            from.push(0);
            let event = keys::event_of(&key);
            if event.is_some_and(|event| request.except.contains(&event)) {
                continue;
            }
            // A later page meets those that this lease has just taken, which count for nothing.
            if event.is_some_and(|event| just_taken.contains(&event)) {
                left += 1;
                continue;
            }
            let Some((mut row, due)) = aside::due_delivery(round, &key)? else { continue };
            if due > round.now || taken.len() == max {
                return Ok((taken, Some(due)));
            }
            let before = row.delivery.clone();
            let token = deliveries::fresh_token();
            let Some(held) = before.lease(round.now, until, token) else { continue };
            if matches!(before.state, DeliveryState::Leased { .. }) {
                put_attempt(round, &mut row, &interrupted(before.attempts, round.now))?;
            }
            row.delivery = held.clone();
            put_delivery(round, Some(&before), &row)?;
            just_taken.insert(held.id.event);
            taken.push((held, token));
        }
        if end_reached && end == all {
            return Ok((taken, None));
        }
        if end_reached {
            round.look_again(&prefix)?;
            from = std::mem::replace(&mut end, all.clone());
        }
    }
    // Every row was used up, so some were moved aside, and others may stand behind them: look again at once.
    Ok((taken, Some(round.now)))
}

/// Ends an attempt, where the lease still stands.
pub(super) fn settle(round: &mut Round, settlement: &Settlement) -> Result<Settled, Fault> {
    let Some(mut row) = deliveries::row(round, &settlement.delivery)? else { return Ok(Settled::LostLease) };
    if !row.delivery.is_held_by(settlement.token) {
        return Ok(Settled::LostLease);
    }
    let before = row.delivery.clone();
    let attempt = Attempt { number: before.attempts, ..settlement.attempt.clone() };
    put_attempt(round, &mut row, &attempt)?;
    row.delivery.state = settlement.next.clone();
    put_delivery(round, Some(&before), &row)?;
    Ok(Settled::Applied)
}

/// Gives a lease back, where it still stands.
pub(super) fn give_back(round: &mut Round, id: &DeliveryId, token: LeaseToken) -> Result<Settled, Fault> {
    let Some(mut row) = deliveries::row(round, id)?.filter(|row| row.delivery.is_held_by(token)) else {
        return Ok(Settled::LostLease);
    };
    let given_back = row.delivery.given_back(round.now);
    let before = std::mem::replace(&mut row.delivery, given_back);
    put_delivery(round, Some(&before), &row)?;
    Ok(Settled::Applied)
}

/// Takes back leases from row `from` of the due index on. Says how many, and where to go on.
pub(super) fn take_back(round: &mut Round, from: &[u8]) -> Result<(usize, Option<Vec<u8>>), Fault> {
    let rows = round.scan(&[keys::DUE], from, TAKE_BACK_ROWS)?;
    let more = (rows.len() == TAKE_BACK_ROWS).then(|| rows.last().map(|key| [key, &[0][..]].concat()));
    let mut count = 0;
    for key in rows {
        let Some((mut row, _)) = aside::due_delivery(round, &key)? else { continue };
        if matches!(row.delivery.state, DeliveryState::Leased { .. }) {
            let before = row.delivery.clone();
            put_attempt(round, &mut row, &interrupted(before.attempts, round.now))?;
            row.delivery.state = DeliveryState::Pending { due: round.now };
            put_delivery(round, Some(&before), &row)?;
            count += 1;
        }
    }
    Ok((count, more.flatten()))
}

/// Marks a step as begun; says how it stood.
pub(super) fn step_begin(round: &mut Round, step: &StepId) -> Result<StepState, Fault> {
    let key = keys::step(step);
    match step_row(round, &key, step)? {
        Some(StepRow::Done(memo)) => Ok(StepState::Done(memo)),
        Some(StepRow::Begun) => Ok(StepState::Unsure),
        None => {
            round.put(key, codec::encode_step(&StepRow::Begun))?;
            Ok(StepState::Run)
        }
    }
}

/// Finishes a step. The first memo stays: a later one comes from an attempt that had lost its lease.
pub(super) fn step_end(round: &mut Round, step: &StepId, memo: &[u8]) -> Result<(), Fault> {
    let key = keys::step(step);
    if !matches!(step_row(round, &key, step)?, Some(StepRow::Done(_))) {
        round.put(key, codec::encode_step(&StepRow::Done(memo.to_vec())))?;
    }
    Ok(())
}

/// Changes what a finished step remembers.
pub(super) fn step_amend(round: &mut Round, step: &StepId, memo: &[u8]) -> Result<(), Fault> {
    let key = keys::step(step);
    if matches!(step_row(round, &key, step)?, Some(StepRow::Done(_))) {
        round.put(key, codec::encode_step(&StepRow::Done(memo.to_vec())))?;
    }
    Ok(())
}

/// A pair as it stands on disk when this is answered.
pub(super) fn kv_get(round: &Round, plugin: &PluginId, key: &[u8]) -> Result<Option<KvValue>, Fault> {
    let row = round.get(&keys::pair(plugin, key))?;
    row.map(|row| codec::decode_pair(&row))
        .transpose()
        .map_err(|why| Fault::corrupt(format!("a key-value pair of {plugin}: {why}")))
}

/// Writes a pair where the expected version stands.
pub(super) fn kv_put(
    round: &mut Round,
    plugin: &PluginId,
    key: &[u8],
    value: &[u8],
    expect: Expect,
) -> Result<KvPut, Fault> {
    let version = kv_get(round, plugin, key)?.map(|found| found.version);
    let fits = match expect {
        Expect::Anything => true,
        Expect::Absent => version.is_none(),
        Expect::Version(wanted) => version == Some(wanted),
    };
    if !fits {
        return Ok(KvPut::Conflict);
    }
    let next = version.unwrap_or(0) + 1;
    round.put(keys::pair(plugin, key), codec::encode_pair(value, next))?;
    Ok(KvPut::Written(next))
}

/// How a step is recorded.
pub(super) fn step_row(view: &impl View, key: &[u8], step: &StepId) -> Result<Option<StepRow>, Fault> {
    let row = view.get(key)?;
    row.map(|row| codec::decode_step(&row))
        .transpose()
        .map_err(|why| Fault::corrupt(format!("step {} of {}: {why}", step.step, step.delivery)))
}

fn interrupted(number: u32, now: UnixMillis) -> Attempt {
    Attempt {
        number,
        started: now,
        duration: std::time::Duration::ZERO,
        outcome: Outcome::Interrupted,
        log: Vec::new(),
    }
}
