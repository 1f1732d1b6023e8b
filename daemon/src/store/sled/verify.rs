//! Whether everything fits together: for `doctor`, and for the tests that pull the plug.
//!
//! Every row of every table is read and held against the rows that must stand beside it; every event against its
//! checksums; the totals against a count. The answer is sentences, one for each thing that is wrong.

use super::codec::{self, Totals};
use super::deliveries;
use super::engine::Engine;
use super::events::{View, read_event, read_record};
use super::fault::Fault;
use super::keys;
use super::open::blob_files;
use super::reads;
use crate::model::delivery::DeliveryState;
use crate::model::ids::EventId;
use crate::model::limits::CHUNK_BYTES_MAX;
use crate::model::verdict::Verdict;

/// Sentences beyond this are not collected: the store is broken either way.
const FINDINGS_MAX: usize = 1000;

/// Everything that is wrong; empty where nothing is.
pub(super) fn verify(engine: &Engine) -> Result<Vec<String>, Fault> {
    let mut check = Check { engine, findings: Vec::new(), seen: Totals::default(), last_event: None };
    for key in engine.rows.keys(Vec::new()..vec![u8::MAX]) {
        let key = key?;
        // Gone meanwhile: a look is meaningful only while nothing is written.
        let Some(value) = engine.rows.get(&key)? else { continue };
        check.row(&key, &value)?;
        if check.findings.len() >= FINDINGS_MAX {
            break;
        }
    }
    check.totals()?;
    match blob_files(&engine.dir) {
        Ok(0) => {}
        Ok(count) => check.say(format!("sled made {count} files in `blobs/`")),
        Err(error) => check.say(format!("cannot list `blobs/`: {error}")),
    }
    Ok(check.findings)
}

struct Check<'a> {
    engine: &'a Engine,
    findings: Vec<String>,
    seen: Totals,
    last_event: Option<EventId>,
}

impl Check<'_> {
    fn say(&mut self, what: String) {
        self.findings.push(what);
    }

    fn must(&mut self, fits: bool, what: impl FnOnce() -> String) {
        if !fits {
            self.say(what());
        }
    }

    fn has(&self, key: &[u8]) -> Result<bool, Fault> {
        Ok(View::get(&self.engine.rows, key)?.is_some())
    }

    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.must(value.len() <= CHUNK_BYTES_MAX, || {
            format!("the row {} has {} bytes", hex::encode(key), value.len())
        });
        match key.first() {
            Some(&keys::EVENTS) => self.event(key),
            Some(&keys::IDEMPOTENCY) => self.idempotency(key, value),
            Some(&keys::INBOX) => self.mark(key, "to be routed"),
            Some(&keys::UNROUTED) => self.mark(key, "unrouted"),
            Some(&keys::DROPPED) => self.mark(key, "dropped"),
            Some(&keys::DECISIONS) => self.decision(key),
            Some(&keys::DELIVERIES) => self.delivery(key),
            Some(&keys::DUE) => self.due(key),
            Some(&keys::DEAD) => self.dead(key),
            Some(&keys::ATTEMPTS) => self.attempt(key),
            Some(&keys::STEPS) => {
                self.must(codec::decode_step(value).is_ok(), || {
                    format!("step {} is unreadable", hex::encode(key))
                });
                Ok(())
            }
            Some(&keys::PAIRS) => {
                self.must(codec::decode_pair(value).is_ok(), || {
                    format!("pair {} is unreadable", hex::encode(key))
                });
                Ok(())
            }
            // The event that an alias leads to may have been pruned since.
            Some(&keys::META | &keys::ALIASES) => Ok(()),
            Some(&keys::PROVISIONAL) => {
                self.say(format!("an event taken while loading was never settled: {}", hex::encode(key)));
                Ok(())
            }
            Some(&keys::ASIDE) => {
                self.say(format!("the row {} leads nowhere and was moved aside", hex::encode(&key[1..])));
                Ok(())
            }
            Some(&keys::TOMBSTONES) => self.tombstone(key, value),
            Some(&keys::STAGED) => {
                self.say(format!("an event was left half-written or half-removed: {}", hex::encode(key)));
                Ok(())
            }
            _ => {
                self.say(format!("the row {} belongs to no table", hex::encode(key)));
                Ok(())
            }
        }
    }

    fn event(&mut self, key: &[u8]) -> Result<(), Fault> {
        let Some(id) = keys::event_in(key) else {
            self.say(format!("the key {} names no event", hex::encode(key)));
            return Ok(());
        };
        if self.last_event.replace(id) == Some(id) {
            return Ok(());
        }
        match read_event(&self.engine.rows, id, true) {
            Ok(Some(event)) => {
                self.seen.counts.events += 1;
                self.seen.appended += 1;
                let hash = keys::idempotency_hash(&event.envelope.source, &event.envelope.idempotency_key);
                let found = self.points_at(hash.row, id)?;
                self.must(found, || format!("event {id} has no idempotency key"));
            }
            Ok(None) => self.say(format!("event {id} has no first chunk")),
            Err(Fault::Refused(why)) => self.say(why.to_string()),
            Err(engine) => return Err(engine),
        }
        let waits = self.has(&keys::of_event(keys::INBOX, id))?;
        let decided = self.has(&keys::chunk(&keys::of_event(keys::DECISIONS, id), 0))?;
        self.must(waits != decided, || {
            format!("event {id} must wait for routing or have a decision; waits: {waits}, decided: {decided}")
        });
        Ok(())
    }

    fn points_at(&self, hash: [u8; 16], id: EventId) -> Result<bool, Fault> {
        for slot in 0..=u8::MAX {
            match self.engine.rows.get(&keys::idempotency(keys::IDEMPOTENCY, hash, slot))? {
                Some(row) if codec::decode_key_entry(&row).is_ok_and(|entry| entry.event == id) => {
                    return Ok(true);
                }
                Some(_) => {}
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// A key row names an event of that key, or one that is gone and left a tombstone.
    fn idempotency(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let whole = match codec::decode_key_entry(value) {
            Ok(entry) => match read_event(&self.engine.rows, entry.event, false) {
                Ok(Some(event)) => {
                    let envelope = event.envelope;
                    let hash = keys::idempotency_hash(&envelope.source, &envelope.idempotency_key);
                    key[1..].starts_with(&hash.row) && entry.rest.is_none_or(|rest| rest == hash.rest)
                }
                Ok(None) => {
                    entry.rest.is_some() && self.has(&keys::of_event(keys::TOMBSTONES, entry.event))?
                }
                Err(Fault::Refused(_)) => false,
                Err(engine) => return Err(engine),
            },
            Err(_) => false,
        };
        self.must(whole, || format!("the idempotency key {} names no event of that key", hex::encode(key)));
        Ok(())
    }

    fn tombstone(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let whole = match (keys::mark_in(key), codec::decode_tombstone(value)) {
            (Some(id), Ok(hash)) => {
                self.points_at(hash, id)? && !self.has(&keys::chunk(&keys::of_event(keys::EVENTS, id), 0))?
            }
            _ => false,
        };
        self.must(whole, || format!("the tombstone {} has no key, or has an event", hex::encode(key)));
        Ok(())
    }

    fn mark(&mut self, key: &[u8], what: &str) -> Result<(), Fault> {
        let counts = &mut self.seen.counts;
        match key[0] {
            keys::INBOX => counts.to_route += 1,
            keys::UNROUTED => counts.unrouted += 1,
            _ => counts.dropped += 1,
        }
        let stands = match keys::event_in(key) {
            Some(id) => self.has(&keys::chunk(&keys::of_event(keys::EVENTS, id), 0))?,
            None => false,
        };
        self.must(stands, || format!("the mark `{what}` {} names no event", hex::encode(key)));
        Ok(())
    }

    fn decision(&mut self, key: &[u8]) -> Result<(), Fault> {
        let Some(id) = keys::event_in(key) else {
            self.say(format!("the decision {} names no event", hex::encode(key)));
            return Ok(());
        };
        let stands = self.has(&keys::chunk(&keys::of_event(keys::EVENTS, id), 0))?;
        self.must(stands, || format!("the decision on event {id} has no event"));
        let decision = match reads::decision(&self.engine.rows, id) {
            Ok(Some(decision)) => decision,
            Ok(None) => {
                self.say(format!("the decision on event {id} has no first chunk"));
                return Ok(());
            }
            Err(Fault::Refused(why)) => {
                self.say(why.to_string());
                return Ok(());
            }
            Err(engine) => return Err(engine),
        };
        let beside = match &decision.verdict {
            Verdict::Deliver(to) => {
                let rows = to
                    .iter()
                    .map(|one| crate::model::ids::DeliveryId { event: id, handler: one.handler.clone() });
                rows.map(|one| keys::delivery(keys::DELIVERIES, &one)).collect()
            }
            Verdict::Unrouted { .. } => vec![keys::of_event(keys::UNROUTED, id)],
            Verdict::Dropped { .. } => vec![keys::of_event(keys::DROPPED, id)],
        };
        for row in beside {
            let found = self.has(&row)?;
            self.must(found, || format!("the decision on event {id} misses the row {}", hex::encode(&row)));
        }
        Ok(())
    }

    fn delivery(&mut self, key: &[u8]) -> Result<(), Fault> {
        let Some(id) = keys::delivery_in(key) else {
            self.say(format!("the key {} names no delivery", hex::encode(key)));
            return Ok(());
        };
        let delivery = match deliveries::get(&self.engine.rows, &id) {
            Ok(Some(delivery)) => delivery,
            Ok(None) => return Ok(()),
            Err(Fault::Refused(why)) => {
                self.say(why.to_string());
                return Ok(());
            }
            Err(engine) => return Err(engine),
        };
        *deliveries::count_of(&mut self.seen.counts, &delivery.state) += 1;
        let event = self.has(&keys::chunk(&keys::of_event(keys::EVENTS, id.event), 0))?;
        self.must(event, || format!("delivery {id} has no event"));
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
        for number in 1..=settled {
            let recorded = self.has(&keys::chunk(&keys::attempt(&id, number), 0))?;
            self.must(recorded, || format!("attempt {number} at delivery {id} is not recorded"));
        }
        Ok(())
    }

    fn due(&mut self, key: &[u8]) -> Result<(), Fault> {
        let found = match keys::due_in(key) {
            Some((id, due)) => {
                matches!(deliveries::get(&self.engine.rows, &id), Ok(Some(found)) if found.state.wakes_at() == Some(due))
            }
            None => false,
        };
        self.must(found, || format!("the due mark {} has no delivery that is due then", hex::encode(key)));
        Ok(())
    }

    fn dead(&mut self, key: &[u8]) -> Result<(), Fault> {
        let found = match keys::delivery_in(key) {
            Some(id) => self.has(&keys::delivery(keys::DELIVERIES, &id))?,
            None => false,
        };
        self.must(found, || format!("the mark of a dead delivery {} has no delivery", hex::encode(key)));
        Ok(())
    }

    fn attempt(&mut self, key: &[u8]) -> Result<(), Fault> {
        let Some((id, number, _)) = keys::attempt_in(key) else {
            self.say(format!("the key {} names no attempt", hex::encode(key)));
            return Ok(());
        };
        let what = || format!("attempt {number} at delivery {id}");
        let read = read_record(&self.engine.rows, &keys::attempt(&id, number), false, what);
        let whole = matches!(&read, Ok(Some((row, _))) if codec::decode_attempt(row).is_ok());
        self.must(whole, || format!("{} cannot be read", what()));
        let known =
            matches!(deliveries::get(&self.engine.rows, &id), Ok(Some(found)) if number <= found.attempts);
        self.must(known, || format!("{} is more than the delivery has begun", what()));
        Ok(())
    }

    fn totals(&mut self) -> Result<(), Fault> {
        let row = View::get(&self.engine.rows, keys::TOTALS)?;
        let kept =
            row.ok_or_else(|| "they are missing".to_owned()).and_then(|row| codec::decode_totals(&row));
        match kept {
            Ok(kept) => {
                let seen = self.seen;
                // Events that were removed are still counted among those that ever were.
                let fits = kept.counts == seen.counts && kept.appended >= seen.appended;
                self.must(fits, || format!("the totals are {kept:?}, but there are {seen:?}"));
            }
            Err(why) => self.say(format!("the totals: {why}")),
        }
        Ok(())
    }
}
