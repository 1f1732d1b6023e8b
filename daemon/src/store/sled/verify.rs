//! Whether everything fits together: for `doctor`, and for the tests that pull the plug.
//!
//! Every row of every table is read and held against the rows that must stand beside it, in both directions; every event
//! against its checksums; the totals against a count. The answer is sentences, one for each thing that is wrong. What
//! `repair` writes anew is exactly what is expected here of the derived tables.
//!
//! What stands under the mark `g` is on its way out or in, and is not told row by row: only the mark is. Opening removes
//! both, so that in a store that nobody works on there is none.

mod key_rows;

use std::collections::BTreeMap;

use super::codec::{self, Totals};
use super::deliveries;
use super::derived::{self, Found, found};
use super::events::{Scan, chunks_after, read_event, read_record};
use super::fault::Fault;
use super::journal;
use super::keys;
use super::reads;
use super::waiting;
use crate::model::delivery::DeliveryState;
use crate::model::ids::{DeliveryId, EventId, HandlerName};
use crate::model::limits::CHUNK_BYTES_MAX;
use crate::model::verdict::Verdict;
use crate::store::step_key::StoreKey;

/// Sentences beyond this are not collected: the store is broken either way.
const FINDINGS_MAX: usize = 1000;
/// Rows held in memory at once.
const SLICE_ROWS: usize = 500;

/// Everything that is wrong; empty where nothing is.
pub(super) fn verify<R: Scan>(rows: &R) -> Result<Vec<String>, Fault> {
    let mut check = Check {
        rows,
        findings: Vec::new(),
        seen: Totals::default(),
        waiting: BTreeMap::new(),
        last_event: None,
    };
    for table in 0..=u8::MAX {
        check.table(table)?;
    }
    if check.findings.len() < FINDINGS_MAX {
        check.waiting();
        check.totals()?;
    }
    Ok(check.findings)
}

struct Check<'a, R> {
    rows: &'a R,
    findings: Vec<String>,
    seen: Totals,
    /// By handler: what is counted, and what there is.
    waiting: BTreeMap<HandlerName, (u64, u64)>,
    last_event: Option<EventId>,
}

impl<R: Scan> Check<'_, R> {
    fn table(&mut self, table: u8) -> Result<(), Fault> {
        let mut from = Some(vec![table]);
        while let Some(at) = from {
            let slice = derived::rows(self.rows, &[table], &at, SLICE_ROWS)?;
            for (key, value) in &slice.rows {
                self.row(key, value)?;
                if self.findings.len() >= FINDINGS_MAX {
                    return Ok(());
                }
            }
            from = slice.next;
        }
        Ok(())
    }

    fn say(&mut self, what: String) {
        self.findings.push(what);
    }

    fn must(&mut self, fits: bool, what: impl FnOnce() -> String) {
        if !fits {
            self.say(what());
        }
    }

    fn has(&self, key: &[u8]) -> Result<bool, Fault> {
        Ok(self.rows.get(key)?.is_some())
    }

    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.must(value.len() <= CHUNK_BYTES_MAX, || {
            format!("the row {} has {} bytes", hex::encode(key), value.len())
        });
        let whole_of = |whole: bool| (!whole).then(|| hex::encode(key));
        match key[0] {
            keys::EVENTS => return self.event(key),
            keys::IDEMPOTENCY => return self.idempotency(key, value),
            keys::INBOX => return self.mark(key, value, "to be routed"),
            keys::UNROUTED => return self.mark(key, value, "unrouted"),
            keys::DROPPED => return self.mark(key, value, "dropped"),
            keys::DECISIONS => return self.decision(key),
            keys::DELIVERIES => return self.delivery(key, value),
            keys::DUE => return self.due(key, value),
            keys::DEAD => return self.dead(key, value),
            keys::WAITING => self.count_of_waiting(key, value),
            keys::ATTEMPTS => return self.attempt(key),
            keys::STEPS => {
                if let Some(key) = whole_of(codec::decode_step(value).is_ok()) {
                    self.say(format!("step {key} is unreadable"));
                }
            }
            keys::PAIRS => {
                if let Some(key) = whole_of(codec::decode_pair(value).is_ok()) {
                    self.say(format!("pair {key} is unreadable"));
                }
            }
            keys::META => self.meta(key, value),
            keys::TOMBSTONES => return self.tombstone(key, value),
            keys::ALIASES => return self.alias(key, value),
            keys::PROVISIONAL => {
                self.say(format!("an event taken while loading was never settled: {}", hex::encode(key)));
            }
            keys::ASIDE => {
                self.say(format!("the row {} leads nowhere and was moved aside", hex::encode(&key[1..])));
            }
            keys::STAGED => {
                self.say(format!("an event was left half-written or half-removed: {}", hex::encode(key)));
            }
            _ => self.say(format!("the row {} belongs to no table", hex::encode(key))),
        }
        Ok(())
    }

    fn event(&mut self, key: &[u8]) -> Result<(), Fault> {
        let Some((id, chunk)) = keys::chunk_in(key) else {
            self.say(format!("the key {} names no event", hex::encode(key)));
            return Ok(());
        };
        if self.last_event.replace(id) == Some(id) {
            return self.is_within(key, id, chunk);
        }
        match found(read_event(self.rows, id, true))? {
            Found::Whole(event) => {
                let slots = derived::slots(self.rows, derived::key_hash(&event).row)?;
                let known = slots.iter().any(|slot| derived::is_key_row(&event, slot));
                self.must(known, || format!("event {id} has no idempotency key"));
            }
            // Half-removed: the mark is told.
            Found::Missing if self.has(&keys::of_event(keys::STAGED, id))? => return Ok(()),
            Found::Missing => self.say(format!("event {id} has no first chunk")),
            Found::Damaged(why) => self.say(why),
        }
        let counts = u64::from(chunk == 0);
        self.seen.counts.events += counts;
        self.seen.appended += counts;
        let waits = self.has(&keys::of_event(keys::INBOX, id))?;
        let decided = !matches!(found(reads::decision(self.rows, id))?, Found::Missing);
        self.must(waits != decided, || {
            format!("event {id} must wait for routing or have a decision; waits: {waits}, decided: {decided}")
        });
        Ok(())
    }

    /// A chunk after an event's first: of those that the first one tells of.
    fn is_within(&mut self, key: &[u8], id: EventId, chunk: u16) -> Result<(), Fault> {
        let first = self.rows.get(&keys::chunk(&keys::of_event(keys::EVENTS, id), 0))?;
        let chunks = first.and_then(|first| chunks_after(&first)).unwrap_or(usize::MAX);
        self.must(usize::from(chunk) < chunks, || {
            format!("event {id} has {chunks} chunks, and yet there is the row {}", hex::encode(key))
        });
        Ok(())
    }

    fn meta(&mut self, key: &[u8], value: &[u8]) {
        let whole = match key {
            keys::REPAIRING => {
                return self.say("a repair was begun and did not end: run it again".to_owned());
            }
            keys::SCHEMA => value.len() == 1,
            keys::STORE_KEY => StoreKey::try_from(value).is_ok(),
            keys::JOURNAL => journal::decode_position(value).is_some(),
            // Held against a count at the end.
            keys::TOTALS => true,
            _ => return self.say(format!("the row {} belongs to no table", hex::encode(key))),
        };
        self.must(whole, || format!("the row {} is unreadable", String::from_utf8_lossy(&key[1..])));
    }

    fn mark(&mut self, key: &[u8], value: &[u8], what: &str) -> Result<(), Fault> {
        let counts = &mut self.seen.counts;
        match key[0] {
            keys::INBOX => counts.to_route += 1,
            keys::UNROUTED => counts.unrouted += 1,
            _ => counts.dropped += 1,
        }
        let id = keys::mark_in(key).filter(|_| derived::is_mark_value(key[0], value));
        let stands = match id {
            Some(id) => derived::begins(self.rows, keys::EVENTS, id)?,
            None => false,
        };
        self.must(stands, || format!("the mark `{what}` {} names no event", hex::encode(key)));
        if let Some(id) = id.filter(|_| key[0] != keys::INBOX)
            && let Found::Whole(decision) = found(reads::decision(self.rows, id))?
        {
            let fits = derived::mark_of(&decision.verdict) == Some(key[0]);
            self.must(fits, || format!("the mark `{what}` is not what was decided on event {id}"));
        }
        Ok(())
    }

    fn decision(&mut self, key: &[u8]) -> Result<(), Fault> {
        let Some((id, chunk)) = keys::chunk_in(key) else {
            self.say(format!("the decision {} names no event", hex::encode(key)));
            return Ok(());
        };
        let begins = derived::begins(self.rows, keys::DECISIONS, id)?;
        if chunk > 0 && begins {
            return Ok(());
        }
        let stands = derived::begins(self.rows, keys::EVENTS, id)?;
        self.must(stands, || format!("the decision on event {id} has no event"));
        let decision = match found(reads::decision(self.rows, id))? {
            Found::Whole(decision) => decision,
            Found::Missing => {
                self.say(format!("the decision on event {id} has no first chunk"));
                return Ok(());
            }
            Found::Damaged(why) => {
                self.say(why);
                return Ok(());
            }
        };
        let mut beside: Vec<Vec<u8>> =
            derived::mark_of(&decision.verdict).map(|table| keys::of_event(table, id)).into_iter().collect();
        if let Verdict::Deliver(to) = &decision.verdict {
            let rows = to.iter().map(|one| DeliveryId { event: id, handler: one.handler.clone() });
            beside.extend(rows.map(|one| keys::delivery(keys::DELIVERIES, &one)));
        }
        for row in beside {
            let found = self.has(&row)?;
            self.must(found, || format!("the decision on event {id} misses the row {}", hex::encode(&row)));
        }
        Ok(())
    }

    fn delivery(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let Some(id) = keys::delivery_in(key) else {
            self.say(format!("the key {} names no delivery", hex::encode(key)));
            return Ok(());
        };
        let row = match codec::decode_delivery(id.clone(), value) {
            Ok(row) => row,
            Err(why) => {
                self.say(format!("delivery {id}: {why}"));
                return Ok(());
            }
        };
        let delivery = &row.delivery;
        *deliveries::count_of(&mut self.seen.counts, &delivery.state) += 1;
        self.is_decided(&id)?;
        if row.decides {
            let twice = derived::begins(self.rows, keys::DECISIONS, id.event)?;
            self.must(!twice, || format!("what was decided on event {} stands twice", id.event));
        }
        if let Some(at) = delivery.state.wakes_at() {
            let marked = self.has(&keys::due(&id, at))?;
            self.must(marked, || format!("delivery {id} is {} but nothing wakes it", delivery.state.word()));
        }
        let dead = matches!(delivery.state, DeliveryState::Dead { .. });
        let marked = self.has(&keys::delivery(keys::DEAD, &id))?;
        self.must(dead == marked, || {
            format!("delivery {id}: dead {dead}, in the index of the dead {marked}")
        });
        let open = u32::from(matches!(delivery.state, DeliveryState::Leased { .. }));
        let settled = delivery.attempts.saturating_sub(open);
        if let Some(first) = &row.first {
            let whole = codec::decode_attempt(first).is_ok_and(|attempt| attempt.number == 1);
            self.must(whole && settled > 0, || {
                format!("attempt 1 at delivery {id} cannot be what its row says")
            });
        }
        for number in 1..=settled {
            let with_delivery = number == 1 && row.first.is_some();
            let recorded = with_delivery || self.has(&keys::chunk(&keys::attempt(&id, number), 0))?;
            self.must(recorded, || format!("attempt {number} at delivery {id} is not recorded"));
        }
        Ok(())
    }

    /// A delivery's event is there, and what was decided on it names the handler.
    fn is_decided(&mut self, id: &DeliveryId) -> Result<(), Fault> {
        let event = derived::begins(self.rows, keys::EVENTS, id.event)?;
        self.must(event, || format!("delivery {id} has no event"));
        match found(reads::decision(self.rows, id.event))? {
            Found::Whole(decision) => {
                let named = matches!(&decision.verdict, Verdict::Deliver(to) if to.iter().any(|one| one.handler == id.handler));
                self.must(named, || format!("delivery {id} is not what was decided on its event"));
            }
            Found::Missing => self.say(format!("delivery {id} has no decision")),
            // The decision itself is told.
            Found::Damaged(_) => {}
        }
        Ok(())
    }

    fn due(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let named = keys::due_in(key);
        if let Some((id, _)) = &named {
            self.waiting.entry(id.handler.clone()).or_default().1 += 1;
        }
        let wakes = match named.filter(|_| value.is_empty()) {
            None => false,
            Some((id, due)) => match found(deliveries::get(self.rows, &id))? {
                Found::Whole(delivery) => delivery.state.wakes_at() == Some(due),
                Found::Missing => false,
                Found::Damaged(_) => true,
            },
        };
        self.must(wakes, || format!("the due mark {} has no delivery that is due then", hex::encode(key)));
        Ok(())
    }

    fn count_of_waiting(&mut self, key: &[u8], value: &[u8]) {
        match keys::waiting_in(key).zip(waiting::decode(value).ok()) {
            Some((handler, count)) => self.waiting.entry(handler).or_default().0 = count,
            None => self.say(format!("the count of what waits {} is unreadable", hex::encode(key))),
        }
    }

    fn waiting(&mut self) {
        for (handler, (counted, seen)) in std::mem::take(&mut self.waiting) {
            self.must(counted == seen, || {
                format!("{counted} deliveries are counted that wait for {handler}, but there are {seen}")
            });
        }
    }

    fn dead(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        // Whether the delivery is dead is held against this row by the delivery.
        let stands = match keys::delivery_in(key).filter(|_| value.is_empty()) {
            Some(id) => self.has(&keys::delivery(keys::DELIVERIES, &id))?,
            None => false,
        };
        self.must(stands, || format!("the mark of a dead delivery {} has no delivery", hex::encode(key)));
        Ok(())
    }

    fn attempt(&mut self, key: &[u8]) -> Result<(), Fault> {
        let Some((id, number, _)) = keys::attempt_in(key) else {
            self.say(format!("the key {} names no attempt", hex::encode(key)));
            return Ok(());
        };
        if self.has(&keys::of_event(keys::STAGED, id.event))? {
            // Half-removed: the mark is told.
            return Ok(());
        }
        let what = || format!("attempt {number} at delivery {id}");
        let read = read_record(self.rows, &keys::attempt(&id, number), false, what);
        let whole = matches!(found(read)?, Found::Whole((row, _)) if codec::decode_attempt(&row).is_ok());
        self.must(whole, || format!("{} cannot be read", what()));
        let known = match found(deliveries::get(self.rows, &id))? {
            Found::Whole(delivery) => number <= delivery.attempts,
            Found::Missing => false,
            Found::Damaged(_) => true,
        };
        self.must(known, || format!("{} is more than the delivery has begun", what()));
        Ok(())
    }

    fn totals(&mut self) -> Result<(), Fault> {
        let row = self.rows.get(keys::TOTALS)?;
        let kept =
            row.ok_or_else(|| "they are missing".to_owned()).and_then(|row| codec::decode_totals(&row));
        match kept {
            Ok(kept) => {
                let seen = self.seen;
                let fits = kept.counts == seen.counts && kept.appended >= seen.appended;
                self.must(fits, || format!("the totals are {kept:?}, but there are {seen:?}"));
            }
            Err(why) => self.say(format!("the totals: {why}")),
        }
        Ok(())
    }
}
