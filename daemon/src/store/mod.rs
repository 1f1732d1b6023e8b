//! The only state of hookyard: events, where each stands, and what the handlers remember.
//!
//! Everything above speaks [`Store`] and knows neither sled nor any other engine. Two engines pass one contract suite
//! (`contract.rs`): [`sled`], where events live, and [`memory`], the plain model that the suite holds it against.
//!
//! Rules of the trait, so that a fleet's database can be an engine too: batches in and out, owned values, no closures
//! or iterators, the store's own clock and ids, a token on every lease, and **every method that changes something
//! returns only after the change is durable**.

mod check;
#[cfg(test)]
mod contract;
pub mod memory;
pub mod sled;
mod step_key;
pub mod wake;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::model::attempt::Attempt;
use crate::model::clock::UnixMillis;
use crate::model::delivery::{DeadReason, Delivery, DeliveryState, LeaseToken};
use crate::model::event::{Appended, Envelope, Event};
use crate::model::ids::{DeliveryId, EventId, HandlerName, PluginId, StepId};
use crate::model::memory::{Expect, KvPut, KvValue, Step, StepState};
use crate::model::retention::Retention;
use crate::model::verdict::Decision;
use wake::Wakes;

/// What the pipeline asks of storage.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Stores the envelope, its idempotency key and the mark "to be routed" in one atomic write; on disk when it returns.
    /// What is foreseen of it ([`Self::foresee`]) may take the place of the mark.
    /// Decides duplicates itself: two calls at once with one key make one event.
    async fn append(&self, envelope: Envelope) -> Result<Appended, StoreError>;

    /// From now on an event may be stored with what `foresight` decides on it, and with its deliveries, in the one commit that
    /// makes it durable: it is routed then, and carries no mark.
    fn foresee(&self, foresight: Arc<dyn Foresight>);

    /// Up to `max` events that are stored and not yet routed, oldest first. Fewer where their bodies are large.
    /// One that cannot be read is settled here, as unrouted with the reason, and is not among them.
    async fn to_route(&self, max: usize) -> Result<Vec<Event>, StoreError>;

    /// For each event: stores the decision, makes its deliveries (due at once), and takes the mark away: one atomic
    /// write. An event that carries no mark any more is left as it is.
    async fn route(&self, decisions: Vec<(EventId, Decision)>) -> Result<(), StoreError>;

    /// For each event that is unrouted: where the decision says otherwise, it takes the old one's place, and its deliveries
    /// are made, in one atomic write. What is not unrouted any more is left as it is. Returns how many were routed.
    async fn route_unrouted(&self, decisions: Vec<(EventId, Decision)>) -> Result<usize, StoreError>;

    /// Takes up to `request.max` due deliveries of one handler, those due longest first; never more than
    /// [`crate::model::limits::LEASE_MAX`]. One whose lease ran out gets an attempt
    /// [`crate::model::attempt::Outcome::Interrupted`]. One whose event cannot be read becomes a dead letter. A row that
    /// leads to no delivery is moved out of the way and kept. Where nothing is due it waits, as the request may, and takes what
    /// becomes due for its handler in the meantime; it may return with nothing before, with another `next_due`.
    async fn lease(&self, request: LeaseRequest) -> Result<Leased, StoreError>;

    /// Records an attempt and moves the delivery on, if `token` still holds it. The attempt's number is the one that the
    /// lease gave it, whatever the settlement says.
    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError>;

    /// Gives a lease back under which nothing was begun: the delivery is due again at once, as though it had never been
    /// taken.
    async fn give_back(&self, delivery: DeliveryId, token: LeaseToken) -> Result<Settled, StoreError>;

    /// Takes back every lease of a process that is gone. Called once, before dispatch starts. Each such delivery gets an
    /// attempt [`crate::model::attempt::Outcome::Interrupted`] and is due at once. Returns how many there were.
    async fn take_back_leases(&self) -> Result<usize, StoreError>;

    /// Every handler that has pending or leased deliveries, with how many, by name. Reads one row for each handler, however
    /// much waits.
    async fn waiting_by_handler(&self) -> Result<Vec<(HandlerName, u64)>, StoreError>;

    /// Removes, oldest first, what `retention` no longer keeps: events with everything that belongs to them, and keys of
    /// events that are gone. One small batch a call, so that nobody waits behind it; `after` is what the call before
    /// reached, `None` to begin at the oldest. What is not finished and what cannot be read stays. An event's
    /// idempotency key outlives it: a duplicate is answered with its id until the key's own time is up.
    async fn prune(&self, retention: Retention, after: Option<EventId>) -> Result<Pruned, StoreError>;

    /// Puts another body and other headers in the place of the event's own, and what is said otherwise of its deliveries in
    /// the place of that: one atomic write. Its ids, key, decision and states stay. False, and nothing is changed, where
    /// there is no such event, or where it is not finished and `even_unfinished` is not set.
    async fn erase(&self, event: EventId, erasure: Erasure) -> Result<bool, StoreError>;

    /// Marks the step as begun and says how it stood before. On disk when it returns.
    async fn step_begin(&self, step: StepId) -> Result<StepState, StoreError>;

    /// Records that the step is finished, with what it wants to remember. On disk when it returns. A step that is finished
    /// already keeps its first memo.
    async fn step_end(&self, step: StepId, memo: Vec<u8>) -> Result<(), StoreError>;

    /// The steps of one delivery after that name, in the order of their names: at most
    /// [`crate::model::limits::PAGE_ROWS_MAX`]. For showing; a plugin asks [`Self::step_begin`].
    async fn steps(&self, delivery: DeliveryId, after: Option<Arc<str>>) -> Result<Vec<Step>, StoreError>;

    /// The step's idempotency key for the far side: the same over retries, restarts and reloads. 64 lower-case hex digits.
    fn step_key(&self, step: &StepId) -> String;

    /// The value and its version, 1 for the first.
    async fn kv_get(&self, plugin: PluginId, key: Vec<u8>) -> Result<Option<KvValue>, StoreError>;

    /// Writes if the version is the expected one. On disk when it returns.
    async fn kv_put(
        &self,
        plugin: PluginId,
        key: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> Result<KvPut, StoreError>;

    /// One event, whole.
    async fn event(&self, id: EventId) -> Result<Option<Event>, StoreError>;

    /// What routing decided; `None` while the event waits for it.
    async fn decision(&self, id: EventId) -> Result<Option<Decision>, StoreError>;

    /// Events by id. Bodies are left empty where `query.bodies` is false. One that cannot be read is left out, and
    /// told in the log.
    async fn events(&self, query: EventQuery) -> Result<Page<Event, EventId>, StoreError>;

    /// Deliveries by event id, then handler.
    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<Delivery, DeliveryId>, StoreError>;

    /// Every attempt at one delivery, first to last.
    async fn attempts(&self, id: DeliveryId) -> Result<Vec<Attempt>, StoreError>;

    /// How many of what there are.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Whether the store still takes writes. A failed sync is final.
    fn health(&self) -> Health;

    /// Bytes that are on disk and not yet where the engine keeps them: how far it is behind.
    fn lag_bytes(&self) -> u64;

    /// The wake-ups that this store gives after each commit.
    fn wakes(&self) -> &Wakes;

    /// Finishes what is queued, syncs, and takes no more. Idempotent.
    async fn close(&self) -> Result<(), StoreError>;
}

/// What decides on events as they come.
pub trait Foresight: Send + Sync + fmt::Debug {
    /// What is to be done with this event. It is asked for each, also for one that turns out to be known already.
    fn decide(&self, envelope: &Envelope) -> Decision;

    /// The event is stored, and this was done with it; both are on disk.
    fn decided(&self, event: EventId, decision: &Decision);
}

/// What `doctor` asks of a store that no daemon works on.
#[async_trait]
pub trait Upkeep: Store {
    /// Looks at every row and says what does not fit together, a sentence for each; empty where all is well.
    async fn verify(&self) -> Result<Vec<String>, StoreError>;

    /// Writes the rows anew that follow from events, decisions and deliveries (keys, marks, indexes, totals), and nothing
    /// else. In small commits, each on disk before the next; one that was cut short is simply done again.
    async fn repair(&self) -> Result<Repaired, StoreError>;
}

/// What a repair did: rows by what they are called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repaired {
    pub written: BTreeMap<&'static str, u64>,
    pub removed: BTreeMap<&'static str, u64>,
    /// The totals before and after, where they were wrong.
    pub totals: Option<(Counts, Counts)>,
}

impl Repaired {
    /// Whether everything was in order already.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Which deliveries a handler's loop takes.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    pub handler: HandlerName,
    pub max: usize,
    /// How long the lease stands: the handler's deadline and its grace.
    pub lease: Duration,
    /// Events whose attempt by this handler is still under way in this process: never leased again, whatever the clock
    /// says, and no part of `next_due`. At most as many as the handler holds at once, and those
    /// whose outcome is on its way to disk.
    pub except: BTreeSet<EventId>,
    /// Until when it may wait where nothing is due before; a time that is past not to wait.
    pub wait_until: UnixMillis,
    /// Once it is cancelled the lease waits no longer. What it brings then is held all the same.
    pub cancel: CancellationToken,
}

impl LeaseRequest {
    /// For deliveries that are due now, none excepted.
    pub fn at_once(handler: HandlerName, max: usize, lease: Duration) -> Self {
        Self {
            handler,
            max,
            lease,
            except: BTreeSet::new(),
            wait_until: UnixMillis(0),
            cancel: CancellationToken::new(),
        }
    }
}

/// What a lease brought.
#[derive(Debug, Clone, Default)]
pub struct Leased {
    pub deliveries: Vec<LeasedDelivery>,
    /// When the handler's next delivery is due that was neither taken nor excepted, or when to look again; `None` where there
    /// is none.
    pub next_due: Option<UnixMillis>,
}

/// One delivery, held, with its event.
#[derive(Debug, Clone)]
pub struct LeasedDelivery {
    /// In state `Leased`; `attempts` counts this one.
    pub delivery: Delivery,
    pub token: LeaseToken,
    pub event: Arc<Event>,
}

/// The end of an attempt.
#[derive(Debug, Clone)]
pub struct Settlement {
    pub delivery: DeliveryId,
    pub token: LeaseToken,
    pub attempt: Attempt,
    pub next: DeliveryState,
}

/// Whether a settlement took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Applied,
    /// The lease had run out and was taken back: nothing was changed.
    LostLease,
}

/// What one call of `prune` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Events removed.
    pub events: u64,
    /// Idempotency keys removed.
    pub keys: u64,
    /// The oldest event removed.
    pub oldest: Option<EventId>,
    /// Events that may have been due, and are kept because something of theirs cannot be read.
    pub unreadable: u64,
    /// How far it looked: pass as `after` to go on.
    pub reached: Option<EventId>,
    /// Whether a further call would find more to look at now.
    pub more: bool,
}

/// What is left of an event once a person's data are erased.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// At most [`crate::model::limits::ERASED_BODY_BYTES_MAX`].
    pub body: Bytes,
    pub headers: Vec<(String, String)>,
    /// Attempts that say something else now, each in the place of the one with its number.
    pub attempts: Vec<(DeliveryId, Attempt)>,
    /// Why dead letters are dead, in other words.
    pub reasons: Vec<(DeliveryId, DeadReason)>,
    /// Finished steps that remember something else now.
    pub memos: Vec<(StepId, Vec<u8>)>,
    /// Also where it waits to be routed, or for a handler.
    pub even_unfinished: bool,
}

/// Which events to list.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// At most this many rows; 0 or more than [`crate::model::limits::PAGE_ROWS_MAX`] means that.
    pub limit: usize,
    /// Only rows after this one (older, where `newest_first`).
    pub after: Option<EventId>,
    pub newest_first: bool,
    pub bodies: bool,
    pub event_type: Option<String>,
    pub provider_id: Option<String>,
    pub routing: Option<Routing>,
}

/// How far routing came with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    Waiting,
    Routed,
    Unrouted,
    Dropped,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveryQuery {
    pub limit: usize,
    pub after: Option<DeliveryId>,
    pub newest_first: bool,
    pub event: Option<EventId>,
    pub handler: Option<HandlerName>,
    /// One of the words of [`DeliveryState::word`].
    pub state: Option<String>,
}

/// Some rows, and where the next page begins. A page may hold fewer rows than its limit, even none, and still have a next
/// one: what a page looks at and holds in memory is bounded too.
#[derive(Debug, Clone)]
pub struct Page<T, C> {
    pub rows: Vec<T>,
    /// Pass as `after` for more; `None` at the end.
    pub next: Option<C>,
}

/// How many of what the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub events: u64,
    pub to_route: u64,
    pub unrouted: u64,
    pub dropped: u64,
    pub pending: u64,
    pub leased: u64,
    pub delivered: u64,
    pub ignored: u64,
    pub dead: u64,
    pub cancelled: u64,
}

/// Whether the store takes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Ready,
    /// New events are taken; what is stored still has to be read, and everything else waits for it.
    Loading,
    /// Too little disk space for new events; what is stored is still worked on.
    Full {
        free_bytes: u64,
        need_bytes: u64,
    },
    /// Closed on purpose.
    Closed,
    /// A write or sync failed: final for this process. The words say what.
    Failed {
        why: String,
    },
}

/// Why the store refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("the disk is nearly full: {free_bytes} bytes are free and {need_bytes} must stay so")]
    Full { free_bytes: u64, need_bytes: u64 },
    #[error("the store is busy: {waiting} writes wait already")]
    Busy { waiting: usize },
    #[error("the store is still loading and takes no event of this size yet")]
    Loading,
    #[error("the store is closed")]
    Closed,
    #[error("the store failed and takes no more writes until a restart: {why}")]
    Failed { why: String },
    #[error("{what} is {bytes} bytes; at most {max} are kept")]
    TooLarge { what: &'static str, bytes: usize, max: usize },
    #[error("the store holds something that cannot be read: {what}")]
    Corrupt { what: String },
}
