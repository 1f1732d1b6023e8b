//! The store as a plain model: maps behind one lock, written to be obviously right.
//!
//! The contract suite holds the engine against it, and tests of the layers above use it where disks do not matter.
//! Nothing here survives the process. It shares no code with the engine but the key derivation and the size checks.

mod erase;
mod lease;
mod page;
mod prune;
mod route;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use erase::erase;
use lease::interrupted;
use page::page;

use super::step_key::{StoreKey, step_key};
use super::wake::Wakes;
use super::{
    Counts, DeliveryQuery, Erasure, EventQuery, Foresight, Health, LeaseRequest, Leased, Page, Pruned,
    Routing, Settled, Settlement, Store, StoreError, check,
};
use crate::model::attempt::Attempt;
use crate::model::clock::{Clock, UnixMillis};
use crate::model::delivery::{Delivery, DeliveryState, LeaseToken};
use crate::model::event::{Appended, Envelope, Event};
use crate::model::ids::{DeliveryId, EventId, HandlerName, IdempotencyKey, PluginId, SourceName, StepId};
use crate::model::limits::PAGE_ROWS_MAX;
use crate::model::memory::{Expect, KvPut, KvValue, Step, StepState};
use crate::model::retention::Retention;
use crate::model::verdict::{Decision, Verdict};

/// A fixed key: the model forgets everything with the process, so there is nothing to keep secret.
const STORE_KEY: StoreKey = [0x5a; 32];

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    wakes: Wakes,
    foresight: Mutex<Option<Arc<dyn Foresight>>>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    last_id: Option<EventId>,
    last_token: u64,
    events: BTreeMap<EventId, Event>,
    keys: HashMap<(SourceName, IdempotencyKey), EventId>,
    to_route: BTreeSet<EventId>,
    decisions: BTreeMap<EventId, (Decision, UnixMillis)>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    attempts: BTreeMap<DeliveryId, Vec<Attempt>>,
    /// `None` for a step that was begun and never ended.
    steps: HashMap<StepId, Option<Vec<u8>>>,
    pairs: HashMap<(PluginId, Vec<u8>), KvValue>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Mutex::default(), clock, wakes: Wakes::default(), foresight: Mutex::default() }
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(StoreError::Closed) } else { Ok(state) }
    }
}

impl State {
    fn next_id(&mut self, now: UnixMillis) -> EventId {
        let fresh = EventId::from_parts(now.0, 0);
        let id = match self.last_id {
            Some(last) if fresh <= last => last.next().unwrap_or(fresh),
            Some(_) | None => fresh,
        };
        self.last_id = Some(id);
        id
    }

    fn record(&mut self, id: &DeliveryId, attempt: Attempt) {
        self.attempts.entry(id.clone()).or_default().push(attempt);
    }

    /// When each unfinished delivery that fits wants attention; the longest due first.
    fn waiting(&self, fits: impl Fn(&Delivery) -> bool) -> Vec<(UnixMillis, DeliveryId)> {
        let mut waiting: Vec<_> = self
            .deliveries
            .values()
            .filter(|delivery| fits(delivery))
            .filter_map(|delivery| Some((delivery.state.wakes_at()?, delivery.id.clone())))
            .collect();
        waiting.sort();
        waiting
    }

    fn routing(&self, id: EventId) -> Option<Routing> {
        if self.to_route.contains(&id) {
            return Some(Routing::Waiting);
        }
        self.decisions.get(&id).map(|(decision, _)| match decision.verdict {
            Verdict::Deliver(_) => Routing::Routed,
            Verdict::Unrouted { .. } => Routing::Unrouted,
            Verdict::Dropped { .. } => Routing::Dropped,
        })
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, envelope: Envelope) -> Result<Appended, StoreError> {
        check::envelope(&envelope)?;
        let foresight = self.foresight.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let foreseen = foresight.map(|foresight| (Arc::clone(&foresight), foresight.decide(&envelope)));
        let mut state = self.open()?;
        let key = (envelope.source.clone(), envelope.idempotency_key.clone());
        if let Some(known) = state.keys.get(&key) {
            return Ok(Appended::Duplicate(*known));
        }
        let id = state.next_id(self.clock.now());
        state.keys.insert(key, id);
        state.events.insert(id, Event { id, envelope });
        let Some((foresight, decision)) = foreseen else {
            state.to_route.insert(id);
            self.wakes.events_changed();
            return Ok(Appended::New(id));
        };
        state.decide(id, decision.clone(), self.clock.now(), &self.wakes);
        foresight.decided(id, &decision);
        Ok(Appended::New(id))
    }

    fn foresee(&self, foresight: Arc<dyn Foresight>) {
        *self.foresight.lock().unwrap_or_else(PoisonError::into_inner) = Some(foresight);
    }

    async fn to_route(&self, max: usize) -> Result<Vec<Event>, StoreError> {
        let state = self.open()?;
        Ok(state.to_route.iter().take(max).filter_map(|id| state.events.get(id)).cloned().collect())
    }

    async fn route(&self, decisions: Vec<(EventId, Decision)>) -> Result<(), StoreError> {
        for (_, decision) in &decisions {
            check::decision(decision)?;
        }
        let mut state = self.open()?;
        for (event, decision) in decisions {
            if !state.to_route.remove(&event) {
                continue;
            }
            state.decide(event, decision, self.clock.now(), &self.wakes);
        }
        Ok(())
    }

    async fn route_unrouted(&self, decisions: Vec<(EventId, Decision)>) -> Result<usize, StoreError> {
        for (_, decision) in &decisions {
            check::decision(decision)?;
        }
        Ok(self.open()?.route_unrouted(decisions, self.clock.now(), &self.wakes))
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError> {
        let mut bell = self.wakes.on_deliveries();
        let leased = self.open()?.take_due(&request, self.clock.now());
        let wait = request.wait_until.since(self.clock.now());
        let is_due_before = leased.next_due.is_some_and(|due| due < request.wait_until);
        if !leased.deliveries.is_empty() || wait.is_zero() || is_due_before {
            return Ok(leased);
        }
        tokio::select! {
            _ = bell.changed() => {}
            () = tokio::time::sleep(wait) => {}
            () = request.cancel.cancelled() => {}
        }
        Ok(self.open()?.take_due(&request, self.clock.now()))
    }

    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        let mut state = self.open()?;
        let Settlement { delivery: id, token, attempt, next } = settlement;
        let Some(delivery) = state.deliveries.get_mut(&id).filter(|found| found.is_held_by(token)) else {
            return Ok(Settled::LostLease);
        };
        let attempt = Attempt { number: delivery.attempts, ..attempt };
        delivery.state = next;
        if matches!(delivery.state, DeliveryState::Pending { .. }) {
            self.wakes.deliveries_changed();
        }
        state.record(&id, attempt);
        Ok(Settled::Applied)
    }

    async fn give_back(&self, id: DeliveryId, token: LeaseToken) -> Result<Settled, StoreError> {
        let mut state = self.open()?;
        let now = self.clock.now();
        let Some(delivery) = state.deliveries.get_mut(&id).filter(|found| found.is_held_by(token)) else {
            return Ok(Settled::LostLease);
        };
        *delivery = delivery.given_back(now);
        self.wakes.deliveries_changed();
        Ok(Settled::Applied)
    }

    async fn take_back_leases(&self) -> Result<usize, StoreError> {
        let mut state = self.open()?;
        let now = self.clock.now();
        let held = state.waiting(|delivery| matches!(delivery.state, DeliveryState::Leased { .. }));
        for (_, id) in &held {
            let Some(delivery) = state.deliveries.get_mut(id) else { continue };
            delivery.state = DeliveryState::Pending { due: now };
            let attempt = interrupted(delivery.attempts, now);
            state.record(id, attempt);
            self.wakes.deliveries_changed();
        }
        Ok(held.len())
    }

    async fn waiting_by_handler(&self) -> Result<Vec<(HandlerName, u64)>, StoreError> {
        let mut counts = BTreeMap::new();
        for (_, id) in self.open()?.waiting(|_| true) {
            *counts.entry(id.handler).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }

    async fn prune(&self, retention: Retention, _after: Option<EventId>) -> Result<Pruned, StoreError> {
        let mut state = self.open()?;
        Ok(state.prune(&retention, self.clock.now()))
    }

    async fn erase(&self, id: EventId, erasure: Erasure) -> Result<bool, StoreError> {
        check::erasure(&erasure)?;
        let mut state = self.open()?;
        Ok(erase(&mut state, id, erasure))
    }

    async fn step_begin(&self, step: StepId) -> Result<StepState, StoreError> {
        check::step(&step)?;
        let mut state = self.open()?;
        Ok(match state.steps.get(&step) {
            Some(Some(memo)) => StepState::Done(memo.clone()),
            Some(None) => StepState::Unsure,
            None => {
                state.steps.insert(step, None);
                StepState::Run
            }
        })
    }

    async fn step_end(&self, step: StepId, memo: Vec<u8>) -> Result<(), StoreError> {
        check::step(&step)?;
        check::memo(&memo)?;
        self.open()?.steps.entry(step).or_default().get_or_insert(memo);
        Ok(())
    }

    async fn steps(&self, delivery: DeliveryId, after: Option<Arc<str>>) -> Result<Vec<Step>, StoreError> {
        let state = self.open()?;
        let fits =
            |id: &StepId| id.delivery == delivery && after.as_ref().is_none_or(|after| id.step > *after);
        let of = state.steps.iter().filter(|(id, _)| fits(id));
        let mut steps: Vec<Step> = of.map(|(id, memo)| Step { id: id.clone(), memo: memo.clone() }).collect();
        steps.sort_by(|one, other| one.id.cmp(&other.id));
        steps.truncate(PAGE_ROWS_MAX);
        Ok(steps)
    }

    fn step_key(&self, step: &StepId) -> String {
        step_key(&STORE_KEY, step)
    }

    async fn kv_get(&self, plugin: PluginId, key: Vec<u8>) -> Result<Option<KvValue>, StoreError> {
        check::key(&key)?;
        Ok(self.open()?.pairs.get(&(plugin, key)).cloned())
    }

    async fn kv_put(
        &self,
        plugin: PluginId,
        key: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> Result<KvPut, StoreError> {
        check::key(&key)?;
        check::value(&value)?;
        let mut state = self.open()?;
        let at = (plugin, key);
        let version = state.pairs.get(&at).map(|found| found.version);
        let fits = match expect {
            Expect::Anything => true,
            Expect::Absent => version.is_none(),
            Expect::Version(wanted) => version == Some(wanted),
        };
        if !fits {
            return Ok(KvPut::Conflict);
        }
        let version = version.unwrap_or(0) + 1;
        state.pairs.insert(at, KvValue { value, version });
        Ok(KvPut::Written(version))
    }

    async fn event(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        Ok(self.open()?.events.get(&id).cloned())
    }

    async fn decision(&self, id: EventId) -> Result<Option<Decision>, StoreError> {
        Ok(self.open()?.decisions.get(&id).map(|(decision, _)| decision.clone()))
    }

    async fn events(&self, query: EventQuery) -> Result<Page<Event, EventId>, StoreError> {
        let state = self.open()?;
        let fits = |event: &Event| {
            query.event_type.as_ref().is_none_or(|wanted| *wanted == event.envelope.event_type)
                && query.provider_id.as_ref().is_none_or(|wanted| *wanted == event.envelope.provider_id)
                && query.routing.is_none_or(|wanted| state.routing(event.id) == Some(wanted))
        };
        let rows = state.events.values().filter(|event| fits(event)).cloned().collect();
        let mut page = page(rows, |event| event.id, query.after, query.newest_first, query.limit);
        if !query.bodies {
            page.rows.iter_mut().for_each(|event| event.envelope.body = Bytes::new());
        }
        Ok(page)
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        let state = self.open()?;
        let fits = |delivery: &Delivery| {
            query.event.is_none_or(|wanted| wanted == delivery.id.event)
                && query.handler.as_ref().is_none_or(|wanted| *wanted == delivery.id.handler)
                && query.state.as_ref().is_none_or(|wanted| wanted == delivery.state.word())
        };
        let rows = state.deliveries.values().filter(|delivery| fits(delivery)).cloned().collect();
        Ok(page(rows, |delivery| delivery.id.clone(), query.after, query.newest_first, query.limit))
    }

    async fn attempts(&self, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        Ok(self.open()?.attempts.get(&id).cloned().unwrap_or_default())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let state = self.open()?;
        let in_state =
            |word| state.deliveries.values().filter(|delivery| delivery.state.word() == word).count() as u64;
        let routed =
            |how| state.decisions.keys().filter(|id| state.routing(**id) == Some(how)).count() as u64;
        Ok(Counts {
            events: state.events.len() as u64,
            to_route: state.to_route.len() as u64,
            unrouted: routed(Routing::Unrouted),
            dropped: routed(Routing::Dropped),
            pending: in_state("pending"),
            leased: in_state("leased"),
            delivered: in_state("delivered"),
            ignored: in_state("ignored"),
            dead: in_state("dead"),
            cancelled: in_state("cancelled"),
        })
    }

    fn health(&self) -> Health {
        match self.open() {
            Ok(_) => Health::Ready,
            Err(_) => Health::Closed,
        }
    }

    fn lag_bytes(&self) -> u64 {
        0
    }

    fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        Ok(())
    }
}
