//! What the store costs on this disk, fdatasync included: events appended and attempts settled, so many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use hookyard::model::attempt::{Attempt, Detail, Outcome};
use hookyard::model::clock::{Clock, SystemClock};
use hookyard::model::delivery::DeliveryState;
use hookyard::model::event::Envelope;
use hookyard::model::ids::{HandlerName, RuleName, SnapshotHash};
use hookyard::model::verdict::{Assignment, Decision, Verdict};
use hookyard::store::sled::{SledOptions, SledStore};
use hookyard::store::{LeaseRequest, Settlement, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::events::envelope;

const BODY_BYTES: usize = 4096;
const APPENDS_AT_ONCE: [usize; 4] = [1, 16, 64, 256];
const SETTLES_AT_ONCE: [usize; 2] = [1, 64];
const HANDLER: &str = "shop";
/// Longer than any bench.
const LEASE: Duration = Duration::from_secs(60 * 60);

/// A store in a directory of its own, and the runtime around it.
pub(crate) struct Yard {
    pub(crate) runtime: Runtime,
    pub(crate) store: Arc<dyn Store>,
    _dir: TempDir,
}

impl Yard {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = SledOptions { free_bytes_min: 0, ..SledOptions::new(dir.path().join("store")) };
        let store = Arc::new(SledStore::open(&options, Arc::new(SystemClock)).unwrap());
        Self { runtime: Runtime::new().unwrap(), store, _dir: dir }
    }
}

/// A name that was never given before.
pub(crate) fn fresh_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("evt_{:016}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn append(criterion: &mut Criterion) {
    let yard = Yard::new();
    let mut group = criterion.benchmark_group("append");
    for at_once in APPENDS_AT_ONCE {
        group.throughput(Throughput::Elements(at_once as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{at_once} at once")), |bencher| {
            let fresh =
                || -> Vec<Envelope> { (0..at_once).map(|_| envelope(&fresh_id(), BODY_BYTES)).collect() };
            let append = |envelopes: Vec<Envelope>| {
                yard.runtime.block_on(async {
                    let mut appends = JoinSet::new();
                    for envelope in envelopes {
                        let store = Arc::clone(&yard.store);
                        appends.spawn(async move { store.append(envelope).await.unwrap() });
                    }
                    appends.join_all().await
                })
            };
            bencher.iter_batched(fresh, append, BatchSize::LargeInput);
        });
    }
}

pub(crate) fn settle(criterion: &mut Criterion) {
    let yard = Yard::new();
    let mut group = criterion.benchmark_group("settle");
    for at_once in SETTLES_AT_ONCE {
        group.throughput(Throughput::Elements(at_once as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{at_once} at once")), |bencher| {
            let settle = |settlements: Vec<Settlement>| {
                yard.runtime.block_on(async {
                    let mut settles = JoinSet::new();
                    for settlement in settlements {
                        let store = Arc::clone(&yard.store);
                        settles.spawn(async move { store.settle(settlement).await.unwrap() });
                    }
                    settles.join_all().await
                })
            };
            let leased = || yard.runtime.block_on(leased(&yard.store, at_once));
            bencher.iter_batched(leased, settle, BatchSize::LargeInput);
        });
    }
}

/// So many deliveries, held, with the end of their attempts.
async fn leased(store: &Arc<dyn Store>, count: usize) -> Vec<Settlement> {
    let assignment = Assignment { handler: HandlerName::new(HANDLER), rule: RuleName::new("a rule") };
    let mut appends = JoinSet::new();
    for _ in 0..count {
        let store = Arc::clone(store);
        appends.spawn(async move { store.append(envelope(&fresh_id(), 1024)).await.unwrap().event() });
    }
    let verdict = Verdict::Deliver(vec![assignment]);
    let decision = Decision { snapshot: SnapshotHash::new("0123456789abcdef"), verdict, shadows: Vec::new() };
    let events = appends.join_all().await;
    store.route(events.into_iter().map(|event| (event, decision.clone())).collect()).await.unwrap();
    let request = LeaseRequest::at_once(HandlerName::new(HANDLER), count, LEASE);
    let held = store.lease(request).await.unwrap().deliveries;
    assert_eq!(held.len(), count);
    let settlement = |held: hookyard::store::LeasedDelivery| Settlement {
        delivery: held.delivery.id.clone(),
        token: held.token,
        attempt: Attempt {
            number: held.delivery.attempts,
            started: held.delivery.created,
            duration: Duration::from_millis(4),
            outcome: Outcome::Done(Detail {
                code: String::new(),
                message: "fulfilled".to_owned(),
                result: Some(r#"{"user_id":1}"#.to_owned()),
            }),
            log: vec!["the mail is sent".to_owned()],
        },
        next: DeliveryState::Delivered { at: SystemClock.now() },
    };
    held.into_iter().map(settlement).collect()
}
