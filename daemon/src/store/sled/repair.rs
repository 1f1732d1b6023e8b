//! Writes the derived rows anew from the events, the decisions and the deliveries: idempotency keys, the marks "to be
//! routed", "unrouted" and "dropped", the indexes of what is due and what is dead, and the counts.
//!
//! Never touches an event, a decision, a delivery, an attempt, a step or a pair; what of them cannot be read stays, and so
//! does every derived row that leads to it. What retention removed is gone: an idempotency key whose event is gone stays
//! where a tombstone says so, and when an event was unrouted or dropped stays as its mark says. A mark that is made anew says
//! that it was decided when the event was received, which nothing says better. An event whose only delivery is lost, and
//! with it the decision, is routed again; its finished steps stand. One call of [`step`] is one bounded commit, synced like any other. A row says
//! that a repair is under way until its last commit: a kill between two of them leaves a store that opens, and `verify`
//! tells to repair again. Done twice, the second finds nothing to do.

mod slots;
mod stage;

use sled::IVec;
use stage::Stage;

use super::codec::{self, Totals};
use super::deliveries;
use super::derived::{self, Found, any_of_event, begins, beyond, found};
use super::events::{Scan, View, read_event};
use super::fault::Fault;
use super::keys;
use super::reads;
use super::round::Round;
use super::waiting;
use crate::model::clock::UnixMillis;
use crate::model::delivery::DeliveryState;
use crate::model::ids::EventId;
use crate::store::Repaired;

/// Rows looked at in one commit. Each writes at most a few small rows, so a commit stays below `COMMIT_BYTES_MAX`; more
/// than the slots of one hash, so that they are always seen together.
const STEP_ROWS: usize = 300;
/// The tables that the totals tell of.
const COUNTED: [u8; 6] =
    [keys::EVENTS, keys::PROVISIONAL, keys::INBOX, keys::UNROUTED, keys::DROPPED, keys::DELIVERIES];
/// About what a commit writes at most.
pub(super) const STEP_BYTES: usize = 128 * 1024;

/// How far a repair came, and what it did so far.
#[derive(Debug)]
pub(super) struct Progress {
    stage: Stage,
    /// The first row that was not yet looked at.
    from: Vec<u8>,
    counted: Totals,
    waiting: waiting::Counts,
    done: Repaired,
}

/// How a step ended.
#[derive(Debug)]
pub(super) enum Step {
    More(Progress),
    Done(Repaired),
}

impl Progress {
    /// The beginning of a repair.
    pub(super) fn begin() -> Self {
        Self {
            stage: Stage::Begin,
            from: Vec::new(),
            counted: Totals::default(),
            waiting: waiting::Counts::new(),
            done: Repaired::default(),
        }
    }

    fn wrote(&mut self, table: u8) {
        *self.done.written.entry(name(table)).or_default() += 1;
    }

    fn removed(&mut self, table: u8) {
        *self.done.removed.entry(name(table)).or_default() += 1;
    }

    fn remove(&mut self, round: &mut Round, key: &[u8]) {
        round.remove(key.to_vec());
        self.removed(key[0]);
    }

    /// Sets where the next step begins; `false` at the end of the table.
    fn go_on(&mut self, next: Option<Vec<u8>>) -> bool {
        let more = next.is_some();
        self.from = next.unwrap_or_default();
        more
    }

    /// Writes the row, where it does not stand there like this already.
    fn ensure(&mut self, round: &mut Round, key: Vec<u8>, value: &[u8]) -> Result<(), Fault> {
        if View::get(round, &key)?.is_none_or(|stands| *stands != *value) {
            self.wrote(key[0]);
            round.put(key, value.to_vec())?;
        }
        Ok(())
    }
}

/// The next commit of a repair.
pub(super) fn step(round: &mut Round, mut progress: Progress) -> Result<Step, Fault> {
    let more = match progress.stage {
        Stage::Begin => {
            round.put(keys::REPAIRING.to_vec(), Vec::new())?;
            false
        }
        Stage::Wrong(keys::IDEMPOTENCY) => slots::check(round, &mut progress)?,
        Stage::Events => mend_events(round, &mut progress)?,
        Stage::Totals => {
            set_waiting(round, &mut progress)?;
            set_totals(round, &mut progress);
            return Ok(Step::Done(progress.done));
        }
        stage => each_row(round, &mut progress, stage)?,
    };
    if !more {
        progress.stage = progress.stage.next().unwrap_or(Stage::Totals);
        progress.from = progress.stage.table().into_iter().collect();
    }
    Ok(Step::More(progress))
}

/// What the rows of the store say of the totals, whatever the totals' own row says: for one that is lost.
pub(super) fn count(rows: &impl Scan) -> Result<Totals, Fault> {
    let mut totals = Totals::default();
    let mut provisional = 0;
    for table in COUNTED {
        let mut from = Some(vec![table]);
        while let Some(at) = from {
            let slice = derived::rows(rows, &[table], &at, STEP_ROWS)?;
            match table {
                keys::PROVISIONAL => provisional += slice.rows.len() as u64,
                _ => slice.rows.iter().for_each(|(key, value)| count_row(&mut totals, key, value)),
            }
            from = slice.next;
        }
    }
    // Taken while a store was loading, and not among the events yet.
    totals.counts.events = totals.counts.events.saturating_sub(provisional);
    totals.appended = totals.counts.events;
    Ok(totals)
}

fn count_row(totals: &mut Totals, key: &[u8], value: &[u8]) {
    let counts = &mut totals.counts;
    match key[0] {
        keys::EVENTS => counts.events += u64::from(keys::chunk_in(key).is_some_and(|(_, chunk)| chunk == 0)),
        keys::INBOX => counts.to_route += 1,
        keys::UNROUTED => counts.unrouted += 1,
        keys::DROPPED => counts.dropped += 1,
        _ => {
            let row = keys::delivery_in(key).and_then(|id| codec::decode_delivery(id, value).ok());
            if let Some(row) = row {
                *deliveries::count_of(counts, &row.delivery.state) += 1;
            }
        }
    }
}

/// Looks at the stage's next rows one by one. Says whether there are more.
fn each_row(round: &mut Round, progress: &mut Progress, stage: Stage) -> Result<bool, Fault> {
    let table: Vec<u8> = stage.table().into_iter().collect();
    let slice = derived::rows(round, &table, &progress.from, STEP_ROWS)?;
    for (key, value) in &slice.rows {
        match stage {
            Stage::Wrong(keys::TOMBSTONES) => check_tombstone(round, progress, key, value)?,
            Stage::Wrong(keys::DUE) => check_due(round, progress, key, value)?,
            Stage::Wrong(keys::DEAD) => check_dead(round, progress, key, value)?,
            Stage::Wrong(keys::WAITING) => check_waiting(round, progress, key),
            Stage::Wrong(_) => check_mark(round, progress, key, value)?,
            Stage::Aside => {
                // A primary row is never moved aside; one that stands there all the same is left to a person.
                if key.get(1).is_some_and(|table| keys::DERIVED.contains(table) || *table == keys::TOMBSTONES)
                {
                    progress.remove(round, key);
                }
            }
            Stage::Deliveries => {
                count_row(&mut progress.counted, key, value);
                mend_delivery(round, progress, key, value)?;
            }
            Stage::Count(keys::DUE) => waiting::count_row(&mut progress.waiting, key),
            _ => count_row(&mut progress.counted, key, value),
        }
    }
    Ok(progress.go_on(slice.next))
}

/// A mark that names nothing goes. What is decided on an event is held against its marks by [`mend_event`].
fn check_mark(round: &mut Round, progress: &mut Progress, key: &[u8], value: &[u8]) -> Result<(), Fault> {
    let stands = match keys::mark_in(key) {
        Some(id) => any_of_event(round, keys::EVENTS, id)? || any_of_event(round, keys::DECISIONS, id)?,
        None => false,
    };
    if !stands {
        progress.remove(round, key);
    } else if !derived::is_mark_value(key[0], value) {
        progress.ensure(round, key.to_vec(), &fresh_mark(key))?;
    }
    Ok(())
}

/// What a mark holds that is made anew.
fn fresh_mark(key: &[u8]) -> Vec<u8> {
    match keys::mark_in(key).filter(|_| key[0] != keys::INBOX) {
        Some(id) => codec::encode_decided(UnixMillis(id.millis())),
        None => Vec::new(),
    }
}

/// A tombstone whose key is lost, or whose event stands, is of no use.
fn check_tombstone(
    round: &mut Round,
    progress: &mut Progress,
    key: &[u8],
    value: &[u8],
) -> Result<(), Fault> {
    let stands = match keys::mark_in(key).zip(codec::decode_tombstone(value).ok()) {
        Some((id, row)) => derived::outlives(round, row, id)? && !begins(round, keys::EVENTS, id)?,
        None => false,
    };
    if !stands {
        progress.remove(round, key);
    }
    Ok(())
}

fn check_due(round: &mut Round, progress: &mut Progress, key: &[u8], value: &[u8]) -> Result<(), Fault> {
    let stands = match keys::due_in(key) {
        Some((id, due)) => match found(deliveries::get(round, &id))? {
            Found::Whole(delivery) => delivery.state.wakes_at() == Some(due),
            Found::Damaged(_) => true,
            Found::Missing => false,
        },
        None => false,
    };
    if !stands {
        progress.remove(round, key);
    } else if !value.is_empty() {
        progress.ensure(round, key.to_vec(), &[])?;
    }
    Ok(())
}

fn check_dead(round: &mut Round, progress: &mut Progress, key: &[u8], value: &[u8]) -> Result<(), Fault> {
    let stands = match keys::delivery_in(key) {
        Some(id) => match found(deliveries::get(round, &id))? {
            Found::Whole(delivery) => matches!(delivery.state, DeliveryState::Dead { .. }),
            Found::Damaged(_) => true,
            Found::Missing => false,
        },
        None => false,
    };
    if !stands {
        progress.remove(round, key);
    } else if !value.is_empty() {
        progress.ensure(round, key.to_vec(), &[])?;
    }
    Ok(())
}

/// A count for nobody goes; the others are written at the end.
fn check_waiting(round: &mut Round, progress: &mut Progress, key: &[u8]) {
    if keys::waiting_in(key).is_none_or(|handler| !progress.waiting.contains_key(&handler)) {
        progress.remove(round, key);
    }
}

/// The next events, one row of each looked at: their keys and marks. Says whether there are more.
fn mend_events(round: &mut Round, progress: &mut Progress) -> Result<bool, Fault> {
    for _ in 0..STEP_ROWS {
        let Some(key) = round.scan(&[keys::EVENTS], &progress.from, 1)?.pop() else { return Ok(false) };
        let Some(id) = keys::event_in(&key) else {
            progress.from = beyond(&key);
            continue;
        };
        if begins(round, keys::EVENTS, id)? {
            progress.counted.counts.events += 1;
            mend_event(round, progress, id)?;
        }
        progress.from = keys::after(&keys::of_event(keys::EVENTS, id));
    }
    Ok(true)
}

fn mend_event(round: &mut Round, progress: &mut Progress, id: EventId) -> Result<(), Fault> {
    if let Found::Whole(event) = found(read_event(round, id, false))? {
        let row = derived::key_hash(&event).row;
        let slots = derived::slots(round, row)?;
        if !slots.iter().any(|slot| derived::is_key_row(&event, slot)) {
            let known = |slot: &IVec| Some((codec::decode_key_entry(slot).ok()?.event, slot.to_vec()));
            let own = (id, derived::key_row(&event));
            let events = slots.iter().filter_map(known).chain([own]).collect();
            slots::lay(round, progress, row, &events, &[])?;
        }
    }
    let marks = match found(reads::decision(round, id))? {
        Found::Whole(decision) => derived::mark_of(&decision.verdict),
        Found::Missing => Some(keys::INBOX),
        // Nobody can say what was decided: its marks are as good as any.
        Found::Damaged(_) => return Ok(()),
    };
    for table in [keys::INBOX, keys::UNROUTED, keys::DROPPED] {
        let mark = keys::of_event(table, id);
        let stands = View::get(round, &mark)?;
        if marks != Some(table) {
            if stands.is_some() {
                progress.remove(round, &mark);
            }
        } else if stands.is_none_or(|value| !derived::is_mark_value(table, &value)) {
            let fresh = fresh_mark(&mark);
            progress.ensure(round, mark, &fresh)?;
        }
    }
    Ok(())
}

fn mend_delivery(round: &mut Round, progress: &mut Progress, key: &[u8], value: &[u8]) -> Result<(), Fault> {
    let row = keys::delivery_in(key).and_then(|id| codec::decode_delivery(id, value).ok());
    for index in row.iter().flat_map(|row| derived::index_rows(&row.delivery)) {
        progress.ensure(round, index, &[])?;
    }
    Ok(())
}

/// The end: what waits for each handler is what was counted.
fn set_waiting(round: &mut Round, progress: &mut Progress) -> Result<(), Fault> {
    let counted = std::mem::take(&mut progress.waiting);
    for (handler, count) in counted {
        progress.ensure(round, keys::waiting(&handler), &waiting::encode(count))?;
    }
    Ok(())
}

/// The end: the totals are what was counted, and the repair is over.
fn set_totals(round: &mut Round, progress: &mut Progress) {
    let totals = &mut round.standing.totals;
    let before = *totals;
    totals.counts = progress.counted.counts;
    totals.appended = before.appended.max(totals.counts.events);
    if *totals != before {
        progress.done.totals = Some((before.counts, totals.counts));
    }
    round.remove(keys::REPAIRING.to_vec());
}

/// What a row of the table is called before an operator.
fn name(table: u8) -> &'static str {
    match table {
        keys::IDEMPOTENCY => "idempotency keys",
        keys::INBOX => "marks \"to be routed\"",
        keys::UNROUTED => "marks \"unrouted\"",
        keys::DROPPED => "marks \"dropped\"",
        keys::DUE => "rows of the due index",
        keys::WAITING => "counts of what waits",
        keys::DEAD => "rows of the index of the dead",
        keys::TOMBSTONES => "tombstones",
        _ => "rows that were moved aside",
    }
}
