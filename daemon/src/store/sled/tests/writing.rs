//! When callers are answered, how commits group, and what a failing disk does.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Place;
use crate::model::clock::UnixMillis;
use crate::model::event::Envelope;
use crate::model::ids::{EventId, HandlerName, PluginId, SnapshotHash};
use crate::model::limits::{CHUNK_BYTES_MAX, WRITER_QUEUE_MAX};
use crate::model::verdict::Decision;
use crate::store::contract::bench::{LEASE, body, deliver, envelope, with_body};
use crate::store::contract::foresight::Seer;
use crate::store::sled::SledStore;
use crate::store::sled::writer::{Durability, SyncFile};
use crate::store::{Counts, Foresight, Health, LeaseRequest, Store, StoreError};

fn open(place: &Place, sync: SyncFile) -> Arc<SledStore> {
    Arc::new(
        SledStore::open_with(
            &place.options(),
            place.clock.clone(),
            Durability { sync, ..Durability::default() },
        )
        .unwrap(),
    )
}

/// A sync that counts itself.
fn counted() -> (SyncFile, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let sync = move |file: &File| {
        counter.fetch_add(1, Ordering::SeqCst);
        file.sync_data()
    };
    (Box::new(sync), count)
}

/// A sync that says when it has begun and waits to be let go.
struct Gate {
    begun: mpsc::Receiver<()>,
    go: std_mpsc::Sender<()>,
}

fn gated() -> (SyncFile, Gate) {
    let (tell, begun) = mpsc::channel(10_000);
    let (go, wait) = std_mpsc::channel();
    let sync = move |file: &File| {
        tell.blocking_send(()).map_err(io::Error::other)?;
        wait.recv().map_err(io::Error::other)?;
        file.sync_data()
    };
    (Box::new(sync), Gate { begun, go })
}

#[tokio::test]
async fn nobody_is_answered_before_the_sync_returned() {
    let place = Place::new();
    let (sync, mut gate) = gated();
    let store = open(&place, sync);
    let append = tokio::spawn({
        let store = store.clone();
        async move { store.append(envelope("a")).await }
    });
    gate.begun.recv().await.unwrap();
    // Written, and not yet on disk: nobody sees it.
    assert_eq!(store.to_route(1).await.unwrap().len(), 0);
    assert!(!append.is_finished());
    assert!(!place.file("high-water").exists());
    gate.go.send(()).unwrap();
    append.await.unwrap().unwrap();
    assert!(place.file("high-water").exists(), "noted before the first answer");
    drop(gate);
}

#[tokio::test]
async fn what_queues_during_a_commit_is_the_next_commit() {
    let place = Place::new();
    let (sync, mut gate) = gated();
    let store = open(&place, sync);
    let mut asking = tokio::task::JoinSet::new();
    let ask = |asking: &mut tokio::task::JoinSet<_>, key: String| {
        let store = store.clone();
        asking.spawn(async move { store.append(envelope(&key)).await.unwrap() });
    };
    ask(&mut asking, "first".to_owned());
    gate.begun.recv().await.unwrap();
    (0..50).for_each(|number| ask(&mut asking, number.to_string()));
    while store.jobs.capacity() > WRITER_QUEUE_MAX - 50 {
        tokio::task::yield_now().await;
    }
    gate.go.send(()).unwrap();
    gate.begun.recv().await.unwrap();
    gate.go.send(()).unwrap();
    asking.join_all().await;
    assert!(gate.begun.try_recv().is_err(), "fifty events took one sync");
}

#[tokio::test]
async fn looking_takes_no_sync() {
    let place = Place::new();
    let (sync, count) = counted();
    let store = open(&place, sync);
    store.append(envelope("a")).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    store.append(envelope("a")).await.unwrap();
    store.kv_get(PluginId::new("p"), b"k".to_vec()).await.unwrap();
    let request = LeaseRequest::at_once(HandlerName::new("sumo"), 9, LEASE);
    store.lease(request).await.unwrap();
    store.take_back_leases().await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_lease_that_waits_is_granted_in_the_commit_that_makes_something_due() {
    let place = Place::new();
    let (sync, count) = counted();
    let store = open(&place, sync);
    let event = store.append(envelope("a")).await.unwrap().event();
    let at_once = LeaseRequest::at_once(HandlerName::new("sumo"), 9, LEASE);
    let patient = LeaseRequest { wait_until: UnixMillis(u64::MAX / 2), ..at_once };
    let other = LeaseRequest { handler: HandlerName::new("other"), ..patient.clone() };
    let others = tokio::spawn({
        let store = store.clone();
        async move { store.lease(other).await }
    });
    let route = store.route(vec![(event, deliver(&["sumo"]))]);
    let (leased, routed) = tokio::join!(store.lease(patient), route);
    routed.unwrap();
    assert_eq!(leased.unwrap().deliveries.len(), 1);
    assert_eq!(count.load(Ordering::SeqCst), 2, "one for the event, one for its delivery and the lease");
    // Whatever the writer said before this answer has come by then.
    store.kv_get(PluginId::new("p"), b"k".to_vec()).await.unwrap();
    tokio::task::yield_now().await;
    assert!(!others.is_finished(), "what is another's wakes nobody");
    store.close().await.unwrap();
    assert!(matches!(others.await.unwrap(), Err(StoreError::Closed)), "and whoever waits at the end is told");
}

#[tokio::test]
async fn an_event_its_delivery_and_the_lease_that_waits_are_one_commit() {
    let place = Place::new();
    let (sync, count) = counted();
    let store = open(&place, sync);
    store.foresee(Arc::new(Seer::default()));
    let at_once = LeaseRequest::at_once(HandlerName::new("sumo"), 9, LEASE);
    let patient = LeaseRequest { wait_until: UnixMillis(u64::MAX / 2), ..at_once };
    let (leased, appended) = tokio::join!(store.lease(patient), store.append(envelope("a")));
    let [held] = leased.unwrap().deliveries.try_into().unwrap();
    assert_eq!(held.delivery.id.event, appended.unwrap().event());
    assert_eq!(count.load(Ordering::SeqCst), 1);
    store.close().await.unwrap();
}

/// Its decisions are too large for a row.
#[derive(Debug)]
struct Longwinded;

impl Foresight for Longwinded {
    fn decide(&self, _: &Envelope) -> Decision {
        Decision { snapshot: SnapshotHash::new(&"s".repeat(CHUNK_BYTES_MAX)), ..deliver(&["sumo"]) }
    }

    fn decided(&self, event: EventId, _: &Decision) {
        panic!("{event} cannot have been routed");
    }
}

#[tokio::test]
async fn an_event_stands_though_what_is_foreseen_of_it_cannot_be_stored() {
    let place = Place::new();
    let store = open(&place, counted().0);
    store.foresee(Arc::new(Longwinded));
    let event = store.append(envelope("a")).await.unwrap().event();
    assert_eq!(store.to_route(9).await.unwrap()[0].id, event);
    assert_eq!(store.counts().await.unwrap(), Counts { events: 1, to_route: 1, ..Counts::default() });
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_large_event_takes_several_commits_and_appears_in_the_last() {
    let place = Place::new();
    let (sync, mut gate) = gated();
    let store = open(&place, sync);
    let append = tokio::spawn({
        let store = store.clone();
        async move { store.append(with_body("a", body(2_500_000))).await }
    });
    for _ in 0..3 {
        gate.begun.recv().await.unwrap();
        assert_eq!(store.to_route(1).await.unwrap().len(), 0);
        assert_eq!(store.events(crate::store::EventQuery::default()).await.unwrap().rows.len(), 0);
        assert_eq!(store.counts().await.unwrap().events, 0);
        gate.go.send(()).unwrap();
    }
    gate.begun.recv().await.unwrap();
    gate.go.send(()).unwrap();
    append.await.unwrap().unwrap();
    assert_eq!(store.to_route(1).await.unwrap()[0].envelope.body, body(2_500_000));
}

#[tokio::test]
async fn a_failed_sync_is_final_and_never_tried_again() {
    let place = Place::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&tries);
    let sync = move |_: &File| {
        counter.fetch_add(1, Ordering::SeqCst);
        Err(io::Error::other("the cable fell out"))
    };
    let store = open(&place, Box::new(sync));
    let told = store.append(envelope("a")).await.unwrap_err();
    assert!(matches!(&told, StoreError::Failed { why } if why.contains("the cable fell out")), "{told}");
    assert!(matches!(store.append(envelope("a")).await, Err(StoreError::Failed { .. })));
    assert!(matches!(store.take_back_leases().await, Err(StoreError::Failed { .. })));
    assert!(matches!(store.counts().await, Err(StoreError::Failed { .. })));
    assert!(matches!(store.health(), Health::Failed { .. }));
    assert!(matches!(store.close().await, Err(StoreError::Failed { .. })));
    assert_eq!(tries.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn everybody_who_waits_hears_of_a_panic_in_the_writer() {
    let place = Place::new();
    let (tell, mut begun) = mpsc::channel(1);
    let (go, wait) = std_mpsc::channel::<()>();
    let sync = move |_: &File| -> io::Result<()> {
        tell.blocking_send(()).map_err(io::Error::other)?;
        let _hung_up = wait.recv();
        panic!("a bug");
    };
    let store = open(&place, Box::new(sync));
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..20 {
        let store = store.clone();
        asking.spawn(async move { store.append(envelope(&number.to_string())).await });
    }
    begun.recv().await.unwrap();
    drop(go);
    for told in asking.join_all().await {
        assert!(matches!(&told, Err(StoreError::Failed { why }) if why.contains("a bug")), "{told:?}");
    }
}

#[tokio::test]
async fn a_full_queue_sheds_events_and_lets_the_rest_wait() {
    let place = Place::new();
    let (sync, mut gate) = gated();
    let store = open(&place, sync);
    let mut asking = tokio::task::JoinSet::new();
    let first = store.clone();
    asking.spawn(async move { first.append(envelope("first")).await.is_ok() });
    gate.begun.recv().await.unwrap();
    for number in 0..WRITER_QUEUE_MAX {
        let store = store.clone();
        asking.spawn(async move { store.append(envelope(&number.to_string())).await.is_ok() });
    }
    while store.jobs.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    let refused = store.append(envelope("one more")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Busy { waiting: WRITER_QUEUE_MAX }), "{refused}");
    let patient = store.clone();
    asking.spawn(async move { patient.take_back_leases().await.is_ok() });
    (0..=WRITER_QUEUE_MAX).for_each(|_| gate.go.send(()).unwrap());
    assert!(asking.join_all().await.into_iter().all(|served| served));
    assert_eq!(store.counts().await.unwrap().events, WRITER_QUEUE_MAX as u64 + 1);
}

#[tokio::test]
async fn closing_finishes_what_is_queued() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..100 {
        let store = store.clone();
        asking.spawn(async move { store.append(envelope(&number.to_string())).await });
    }
    while store.to_route(1).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    store.close().await.unwrap();
    let stored = asking.join_all().await.into_iter().filter(Result::is_ok).count();
    assert!(stored > 0);
    let store = place.open();
    assert_eq!(store.counts().await.unwrap().events, stored as u64);
}

#[tokio::test]
async fn a_commit_that_hangs_is_found_out_and_stays_failed() {
    let place = Place::new();
    let (sync, mut gate) = gated();
    let durability = Durability { sync, stall_max: Duration::from_millis(20), ..Durability::default() };
    let store = Arc::new(SledStore::open_with(&place.options(), place.clock.clone(), durability).unwrap());
    let told = store.append(envelope("a")).await.unwrap_err();
    assert!(matches!(&told, StoreError::Failed { why } if why.contains("hung")), "{told}");
    assert!(matches!(store.health(), Health::Failed { .. }));
    gate.begun.recv().await.unwrap();
    gate.go.send(()).unwrap();
    assert!(matches!(store.append(envelope("b")).await, Err(StoreError::Failed { .. })));
}
