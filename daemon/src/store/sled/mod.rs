//! The sled engine: where events live.
//!
//! sled 0.34 is fast and sound enough *with guards*, and loses data without them; each stands where it works:
//!
//! | sled's hazard                                   | guard                                                    |
//! |-------------------------------------------------|----------------------------------------------------------|
//! | `flush` is no sync on Linux                     | `journal/`: our own `fdatasync` before any answer, and   |
//! |                                                 | one after each batch that sled gets                      |
//! | leaves above 128 KB become files never synced   | `round.rs`: no value above 4 KiB; `blobs/` is watched    |
//! | a killed open leaves a broken snapshot          | `open.rs`: removed; on damage snapshots are moved aside  |
//! | panics while opening, or opens empty            | `open.rs`, `high_water.rs`: told, never begun anew       |
//! | cannot be opened on a full disk                 | `space.rs`: events are refused early; ballast            |
//! | `flush_async` and transactions can deadlock     | not used: one thread writes, one batch a commit          |
//! | errors are sticky, a failed sync proves nothing | `writer.rs`: final; a commit that hangs is found out     |
//! | slow: 60 us of one core for each event          | `journal/`: a commit is durable before sled has it       |
//!
//! Reading order: `keys` and `codec` (rows), `events` (chunks), `front`, `horizon`, `heads` and `rows` (what stands), `round`
//! (one commit), `commands` and `deliveries` (what changes), `arrival` and `patience` (an event with its routing, a lease that
//! waits), `aside` (rows that cannot be read), `prune` (what is too old), `journal/` (durable), `writer` (the thread), `reads`,
//! `begin`, `open`, `load`, `leftovers`, `provisional`, `compact`, then `derived`, `verify` and `repair` (what `doctor` asks).

mod arrival;
mod aside;
mod begin;
mod calls;
mod codec;
mod commands;
mod compact;
mod decisions;
mod deliveries;
mod derived;
mod engine;
mod erase;
mod events;
mod fault;
mod front;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
mod heads;
mod high_water;
mod horizon;
mod journal;
mod keys;
mod known_keys;
mod learn;
mod leftovers;
mod load;
mod open;
mod patience;
mod provisional;
mod prune;
mod reads;
mod recent;
mod repair;
mod reroute;
mod round;
mod rows;
mod shared;
mod space;
#[cfg(test)]
mod tests;
mod upkeep;
mod verify;
mod waiting;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

pub use compact::{CompactError, CompactPhase, CompactProgress, Compacted};
pub use open::OpenError;

use self::calls::read_panicked;
use self::events::View;
use self::fault::Fault;
use self::journal::Backlog;
use self::recent::Recent;
use self::shared::Shared;
use self::writer::{Durability, Job, READERS_WAIT};
use super::step_key::step_key;
use super::wake::Wakes;
use super::{
    Counts, DeliveryQuery, Erasure, EventQuery, Foresight, Health, LeaseRequest, Leased, Page, Pruned,
    Settled, Settlement, Store, StoreError, check,
};
use crate::model::attempt::Attempt;
use crate::model::clock::Clock;
use crate::model::delivery::{Delivery, LeaseToken};
use crate::model::event::{Appended, Envelope, Event};
use crate::model::ids::{DeliveryId, EventId, HandlerName, PluginId, StepId};
use crate::model::limits::{APPLY_AFTER, FREE_BYTES_MIN, JOURNAL_SEGMENT_BYTES, STORE_CACHE_BYTES_DEFAULT};
use crate::model::memory::{Expect, KvPut, KvValue, Step, StepState};
use crate::model::retention::Retention;
use crate::model::verdict::Decision;

/// About what a small command writes.
const SMALL_BYTES: usize = 1024;
/// About what one delivery's move writes, attempt included.
const MOVE_BYTES: usize = 1024;

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// The directory; made with mode 0700 where it is missing.
    pub path: PathBuf,
    /// What sled may keep of its pages in memory.
    pub cache_bytes: u64,
    /// Below this much free disk space new events are refused.
    pub free_bytes_min: u64,
    /// One file of the journal; at least twice [`crate::model::limits::JOURNAL_FRAME_BYTES_MAX`].
    pub segment_bytes: u64,
    /// How long a commit waits before sled gets it.
    pub apply_after: Duration,
    /// Count the rows where the totals are lost, instead of refusing to open: for a repair, which counts them anyway.
    pub recount: bool,
}

impl SledOptions {
    /// The defaults, in `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: STORE_CACHE_BYTES_DEFAULT,
            free_bytes_min: FREE_BYTES_MIN,
            segment_bytes: JOURNAL_SEGMENT_BYTES,
            apply_after: APPLY_AFTER,
            recount: false,
        }
    }
}

/// The store in a directory of its own.
#[derive(Debug)]
pub struct SledStore {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
    backlog: Arc<Backlog>,
    recent: Arc<Recent>,
    clock: Arc<dyn Clock>,
    /// Of the last lease.
    ticket: AtomicU64,
    foresight: ArcSwapOption<Arc<dyn Foresight>>,
}

impl SledStore {
    /// Opens the store, or says why not and what to do. Where sled takes long to read its log, the store takes events
    /// before that is done ([`Health::Loading`]); everything else waits for it.
    pub fn open(options: &SledOptions, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(options, clock, Durability::default())
    }

    /// A store whose threads have been started.
    fn new(
        jobs: mpsc::Sender<Job>,
        shared: Arc<Shared>,
        backlog: Arc<Backlog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            jobs,
            shared,
            backlog,
            recent: Arc::default(),
            clock,
            ticket: AtomicU64::default(),
            foresight: ArcSwapOption::empty(),
        }
    }

    /// Names a lease on its way through the writer.
    fn next_ticket(&self) -> u64 {
        self.ticket.fetch_add(1, Ordering::Relaxed)
    }

    /// Opens with another way to sync, so that tests can make it fail or count it.
    fn open_with(
        options: &SledOptions,
        clock: Arc<dyn Clock>,
        durability: Durability,
    ) -> Result<Self, OpenError> {
        begin::open(options, clock, durability)
    }
}

#[async_trait]
impl Store for SledStore {
    async fn append(&self, envelope: Envelope) -> Result<Appended, StoreError> {
        arrival::append(self, envelope).await
    }

    fn foresee(&self, foresight: Arc<dyn Foresight>) {
        self.foresight.store(Some(Arc::new(foresight)));
    }

    async fn to_route(&self, max: usize) -> Result<Vec<Event>, StoreError> {
        let engine = self.shared.engine().await?;
        if let Some(events) = reads::to_route_at_once(&engine.rows, &self.recent, max) {
            return Ok(events);
        }
        drop(engine);
        let waiting = self.read(move |rows| reads::to_route(rows, max)).await?;
        if !waiting.unreadable.is_empty() {
            let bytes = waiting.unreadable.len() * SMALL_BYTES;
            let marks = waiting.unreadable;
            self.write(bytes, move |round| aside::settle_unreadable(round, &marks)).await?;
        }
        Ok(waiting.events)
    }

    async fn route(&self, decisions: Vec<(EventId, Decision)>) -> Result<(), StoreError> {
        for (bytes, batch) in decisions::batches(decisions)? {
            self.write(bytes, move |round| commands::route(round, &batch)).await?;
        }
        Ok(())
    }

    async fn route_unrouted(&self, decisions: Vec<(EventId, Decision)>) -> Result<usize, StoreError> {
        let mut routed = 0;
        for (bytes, batch) in decisions::batches(decisions)? {
            routed += self.write(bytes, move |round| reroute::route_unrouted(round, &batch)).await?;
        }
        Ok(routed)
    }

    async fn erase(&self, event: EventId, erasure: Erasure) -> Result<bool, StoreError> {
        erase::run(self, event, erasure).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError> {
        check::name("a handler's name", request.handler.as_str())?;
        let (taken, next_due) = patience::lease(self, request).await?;
        let deliveries = if taken.is_empty() { Vec::new() } else { self.with_events(taken).await? };
        Ok(Leased { deliveries, next_due })
    }

    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        check::name("a handler's name", settlement.delivery.handler.as_str())?;
        self.write(4 * SMALL_BYTES, move |round| commands::settle(round, &settlement)).await
    }

    async fn give_back(&self, delivery: DeliveryId, token: LeaseToken) -> Result<Settled, StoreError> {
        check::name("a handler's name", delivery.handler.as_str())?;
        self.write(SMALL_BYTES, move |round| commands::give_back(round, &delivery, token)).await
    }

    async fn take_back_leases(&self) -> Result<usize, StoreError> {
        let mut count = 0;
        let mut from = Some(vec![keys::DUE]);
        while let Some(at) = from {
            let bytes = commands::TAKE_BACK_ROWS * MOVE_BYTES / 2;
            let (some, next) = self.write(bytes, move |round| commands::take_back(round, &at)).await?;
            count += some;
            from = next;
        }
        Ok(count)
    }

    async fn waiting_by_handler(&self) -> Result<Vec<(HandlerName, u64)>, StoreError> {
        let counts = self.read(waiting::by_handler).await?;
        Ok(counts.into_iter().collect())
    }

    async fn prune(&self, retention: Retention, after: Option<EventId>) -> Result<Pruned, StoreError> {
        let now = self.clock.now();
        let found = self.read(move |tree| prune::search(tree, &retention, now, after)).await?;
        if found.is_empty() {
            return Ok(found.nothing_removed());
        }
        self.write(prune::PRUNE_BYTES, move |round| prune::remove(round, &retention, &found)).await
    }

    async fn step_begin(&self, step: StepId) -> Result<StepState, StoreError> {
        check::step(&step)?;
        self.write(SMALL_BYTES, move |round| commands::step_begin(round, &step)).await
    }

    async fn step_end(&self, step: StepId, memo: Vec<u8>) -> Result<(), StoreError> {
        check::step(&step)?;
        check::memo(&memo)?;
        self.write(SMALL_BYTES + memo.len(), move |round| commands::step_end(round, &step, &memo)).await
    }

    async fn steps(&self, delivery: DeliveryId, after: Option<Arc<str>>) -> Result<Vec<Step>, StoreError> {
        check::name("a handler's name", delivery.handler.as_str())?;
        self.read(move |rows| reads::steps(rows, &delivery, after)).await
    }

    fn step_key(&self, step: &StepId) -> String {
        step_key(self.shared.store_key(), step)
    }

    async fn kv_get(&self, plugin: PluginId, key: Vec<u8>) -> Result<Option<KvValue>, StoreError> {
        check::name("a plugin's id", plugin.as_str())?;
        check::key(&key)?;
        self.write(0, move |round| commands::kv_get(round, &plugin, &key)).await
    }

    async fn kv_put(
        &self,
        plugin: PluginId,
        key: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> Result<KvPut, StoreError> {
        check::name("a plugin's id", plugin.as_str())?;
        check::key(&key)?;
        check::value(&value)?;
        let bytes = SMALL_BYTES + value.len();
        self.write(bytes, move |round| commands::kv_put(round, &plugin, &key, &value, expect)).await
    }

    async fn event(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        self.read(move |rows| provisional::read_event_or_first(rows, id)).await
    }

    async fn decision(&self, id: EventId) -> Result<Option<Decision>, StoreError> {
        self.read(move |rows| reads::decision(rows, id)).await
    }

    async fn events(&self, query: EventQuery) -> Result<Page<Event, EventId>, StoreError> {
        self.read(move |rows| reads::events(rows, &query)).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        self.read(move |rows| reads::deliveries(rows, &query)).await
    }

    async fn attempts(&self, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        check::name("a handler's name", id.handler.as_str())?;
        self.read(move |rows| reads::attempts(rows, &id)).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.read(|rows| {
            let row = rows.get(keys::TOTALS)?.ok_or_else(|| Fault::corrupt("the totals are missing"))?;
            let totals = codec::decode_totals(&row);
            totals.map(|totals| totals.counts).map_err(|why| Fault::corrupt(format!("the totals: {why}")))
        })
        .await
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn lag_bytes(&self) -> u64 {
        self.backlog.bytes()
    }

    fn wakes(&self) -> &Wakes {
        &self.shared.wakes
    }

    async fn close(&self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        let asked = self.jobs.send(Job::Close { answer }).await.is_ok();
        if (!asked || answered.await.is_err())
            && let Health::Failed { why } = self.shared.health()
        {
            return Err(StoreError::Failed { why });
        }
        let Some(engine) = self.shared.take_engine() else { return Ok(()) };
        // Whoever drops the last handle waits for sled's own threads: let that not be a reader.
        let drained = async {
            while Arc::strong_count(&engine) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _readers_go_on = tokio::time::timeout(READERS_WAIT, drained).await;
        let dropped = tokio::task::spawn_blocking(move || drop(engine)).await;
        dropped.map_err(|error| read_panicked(&error))
    }
}
