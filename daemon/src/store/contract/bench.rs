//! An empty store with its clock, and short words for what the checks do with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::model::attempt::{Attempt, Detail, Outcome};
use crate::model::clock::{Clock, ManualClock, UnixMillis};
use crate::model::delivery::DeliveryState;
use crate::model::event::{Appended, Envelope};
use crate::model::ids::{
    DeliveryId, EventId, HandlerName, IdempotencyKey, RuleName, SnapshotHash, SourceName,
};
use crate::model::verdict::{Assignment, Decision, Verdict};
use crate::store::memory::MemoryStore;
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Counts, LeaseRequest, Leased, LeasedDelivery, Settled, Settlement, Store};

/// How long a lease of the checks stands.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) sled: Option<(Arc<SledStore>, tempfile::TempDir)>,
}

impl Bench {
    pub(crate) fn memory() -> Self {
        let clock = clock();
        Self { store: Arc::new(MemoryStore::new(clock.clone())), clock, sled: None }
    }

    pub(crate) fn sled() -> Self {
        let clock = clock();
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SledStore::open(&options(&dir), clock.clone()).unwrap());
        Self { store: store.clone(), clock, sled: Some((store, dir)) }
    }

    /// Everything in the engine fits together, and sled made no file that it does not sync.
    pub(crate) async fn assert_sound(&self) {
        let Some((store, dir)) = &self.sled else { return };
        if self.store.health() != crate::store::Health::Closed {
            assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
        }
        assert_eq!(std::fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
    }

    pub(crate) async fn append(&self, envelope: Envelope) -> Appended {
        self.store.append(envelope).await.unwrap()
    }

    /// Appends an event under `key` and routes it to `handlers`.
    pub(crate) async fn routed(&self, key: &str, handlers: &[&str]) -> EventId {
        let id = self.append(envelope(key)).await.event();
        self.store.route(vec![(id, deliver(handlers))]).await.unwrap();
        id
    }

    pub(crate) async fn lease(&self, handler: &str, max: usize) -> Leased {
        let handler = HandlerName::new(handler);
        self.store.lease(LeaseRequest::at_once(handler, max, LEASE)).await.unwrap()
    }

    /// Waits for what becomes due, as long as a lease stands.
    pub(crate) async fn lease_patiently(&self, handler: &str, cancel: &CancellationToken) -> Leased {
        let at_once = LeaseRequest::at_once(HandlerName::new(handler), 10, LEASE);
        let wait_until = self.now().plus(LEASE);
        let request = LeaseRequest { wait_until, cancel: cancel.clone(), ..at_once };
        self.store.lease(request).await.unwrap()
    }

    /// Leases exactly one.
    pub(crate) async fn lease_one(&self, handler: &str) -> LeasedDelivery {
        let mut leased = self.lease(handler, 1).await.deliveries;
        leased.pop().expect("one is due")
    }

    pub(crate) async fn settle(&self, held: &LeasedDelivery, next: DeliveryState) -> Settled {
        self.store.settle(settlement(held, next)).await.unwrap()
    }

    pub(crate) async fn counts(&self) -> Counts {
        self.store.counts().await.unwrap()
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UnixMillis(1_800_000_000_000)))
}

pub(crate) fn options(dir: &tempfile::TempDir) -> SledOptions {
    SledOptions {
        cache_bytes: 4 << 20,
        free_bytes_min: 0,
        segment_bytes: 4 << 20,
        apply_after: Duration::from_millis(200),
        ..SledOptions::new(dir.path())
    }
}

pub(crate) fn envelope(key: &str) -> Envelope {
    with_body(key, Bytes::from(format!("{{\"id\":\"{key}\"}}")))
}

pub(crate) fn with_body(key: &str, body: Bytes) -> Envelope {
    Envelope {
        source: SourceName::new("stripe"),
        idempotency_key: IdempotencyKey::new(key),
        provider_id: format!("evt_{key}"),
        event_type: "checkout.session.completed".to_owned(),
        account: Some("acct_1".to_owned()),
        livemode: Some(false),
        content_type: "application/json".to_owned(),
        headers: vec![
            ("user-agent".to_owned(), "Stripe/1.0".to_owned()),
            ("x-twice".to_owned(), "a".to_owned()),
            ("x-twice".to_owned(), "b".to_owned()),
        ],
        body,
        received: UnixMillis(1_799_999_999_999),
    }
}

pub(crate) fn deliver(handlers: &[&str]) -> Decision {
    let assignment =
        |handler: &&str| Assignment { handler: HandlerName::new(handler), rule: RuleName::new("a rule") };
    decision(Verdict::Deliver(handlers.iter().map(assignment).collect()))
}

pub(crate) fn decision(verdict: Verdict) -> Decision {
    Decision { snapshot: SnapshotHash::new("0123456789abcdef"), verdict, shadows: Vec::new() }
}

pub(crate) fn delivery_id(event: EventId, handler: &str) -> DeliveryId {
    DeliveryId { event, handler: HandlerName::new(handler) }
}

pub(crate) fn settlement(held: &LeasedDelivery, next: DeliveryState) -> Settlement {
    let detail =
        Detail { code: "ok".to_owned(), message: "as told".to_owned(), result: Some("{}".to_owned()) };
    let attempt = Attempt {
        number: held.delivery.attempts,
        started: held.delivery.created,
        duration: Duration::from_micros(1234),
        outcome: Outcome::Done(detail),
        log: vec!["one line".to_owned()],
    };
    Settlement { delivery: held.delivery.id.clone(), token: held.token, attempt, next }
}

/// A body that no compression or repetition could hide a mix-up in.
pub(crate) fn body(bytes: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32 ^ u32::try_from(bytes).unwrap();
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}
