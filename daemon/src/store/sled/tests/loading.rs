//! Events taken before sled has read its log.

use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use super::Place;
use crate::model::event::Appended;
use crate::model::ids::EventId;
use crate::store::contract::bench::{body, envelope, with_body};
use crate::store::sled::SledStore;
use crate::store::sled::writer::Durability;
use crate::store::{EventQuery, Health, Store, StoreError};

/// Opens with a loader that waits until the sender goes.
fn open_loading(place: &Place) -> (SledStore, std_mpsc::Sender<()>) {
    let (go, wait) = std_mpsc::channel::<()>();
    let before_load = Box::new(move || {
        let _let_go = wait.recv();
    });
    let durability = Durability { before_load, load_wait: Duration::ZERO, ..Durability::default() };
    // An id of a later moment sorts behind those that nobody knows of yet.
    place.clock.advance(Duration::from_millis(1));
    let store = SledStore::open_with(&place.options(), place.clock.clone(), durability).unwrap();
    assert_eq!(store.health(), Health::Loading);
    (store, go)
}

async fn taken(store: &SledStore, key: &str) -> EventId {
    let Appended::New(id) = store.append(envelope(key)).await.unwrap() else { panic!("{key} is taken") };
    id
}

/// Everything about a place that held "known", "applied" and took "new" and "known" again while loading.
async fn assert_settled(store: &SledStore, known: EventId, again: EventId, new: EventId) {
    assert_eq!(store.counts().await.unwrap().events, 2);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    let listed = store.events(EventQuery::default()).await.unwrap().rows;
    assert_eq!(listed.iter().map(|event| event.id).collect::<Vec<_>>(), [known, new]);
    assert_eq!(store.event(again).await.unwrap().unwrap().id, known, "the id that was answered leads there");
    let waiting: Vec<_> = store.to_route(9).await.unwrap().iter().map(|event| event.id).collect();
    assert_eq!(waiting, [known, new]);
    assert_eq!(store.append(envelope("new")).await.unwrap(), Appended::Duplicate(new));
    assert_eq!(store.append(envelope("known")).await.unwrap(), Appended::Duplicate(known));
}

async fn place_with_known() -> (Place, EventId) {
    let place = Place::new();
    let store = place.open();
    let known = taken(&store, "known").await;
    super::tree(&store);
    store.close().await.unwrap();
    // Another start and end, so that the journal holds nothing of it any more.
    place.open().close().await.unwrap();
    (place, known)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_taken_while_loading_and_settled_before_anybody_reads() {
    let (place, known) = place_with_known().await;
    let (store, go) = open_loading(&place);
    let new = taken(&store, "new").await;
    assert_eq!(store.append(envelope("new")).await.unwrap(), Appended::Duplicate(new));
    let again = taken(&store, "known").await;
    assert_ne!(again, known, "nobody can know yet");
    assert_eq!(store.append(envelope("known")).await.unwrap(), Appended::Duplicate(again));
    let large = store.append(with_body("large", body(3_000_000))).await;
    assert!(matches!(large, Err(StoreError::Loading)), "{large:?}");
    {
        let counts = store.counts();
        tokio::pin!(counts);
        tokio::select! {
            biased;
            counts = &mut counts => panic!("told before it is known: {counts:?}"),
            () = std::future::ready(()) => {}
        }
        drop(go);
        assert_eq!(counts.await.unwrap().events, 2);
    }
    assert_eq!(store.health(), Health::Ready);
    assert_settled(&store, known, again, new).await;
    store.close().await.unwrap();
    assert_settled(&place.open(), known, again, new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_loading_loses_nothing_that_was_taken() {
    let (place, known) = place_with_known().await;
    let (store, go) = open_loading(&place);
    let (new, again) = (taken(&store, "new").await, taken(&store, "known").await);
    let killed = place.image();
    let (second, go_second) = open_loading(&killed);
    assert_eq!(second.append(envelope("new")).await.unwrap(), Appended::Duplicate(new));
    let killed_again = killed.image();
    assert_settled(&killed_again.open(), known, again, new).await;
    for (store, go) in [(store, go), (second, go_second)] {
        drop(go);
        assert_settled(&store, known, again, new).await;
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_closes_while_loading_keeps_what_it_took() {
    let (place, known) = place_with_known().await;
    let (store, go) = open_loading(&place);
    let (new, again) = (taken(&store, "new").await, taken(&store, "known").await);
    store.close().await.unwrap();
    assert!(matches!(store.append(envelope("late")).await, Err(StoreError::Closed)));
    drop(go);
    assert_settled(&place.open(), known, again, new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_found_late_ends_the_store_and_keeps_what_it_took() {
    let (place, known) = place_with_known().await;
    let whole = place.image();
    let (store, go) = open_loading(&place);
    let (new, again) = (taken(&store, "new").await, taken(&store, "known").await);
    std::fs::remove_file(place.file("db")).unwrap();
    drop(go);
    let told = store.counts().await.unwrap_err();
    assert!(matches!(&told, StoreError::Failed { why } if why.contains("restore the")), "{told}");
    // The operator brings the file back: what was taken meanwhile is in the journal.
    drop(store);
    std::fs::copy(whole.file("db"), place.file("db")).unwrap();
    for snapshot in std::fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if snapshot.file_name().unwrap().to_string_lossy().starts_with("snap.") {
            std::fs::remove_file(snapshot).unwrap();
        }
    }
    assert_settled(&place.image().open(), known, again, new).await;
}
