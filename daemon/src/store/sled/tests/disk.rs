//! Full disks, and a process that has no file descriptor left.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Place;
use crate::model::clock::Clock;
use crate::model::delivery::DeliveryState;
use crate::model::event::Appended;
use crate::model::ids::HandlerName;
use crate::model::limits::{BLOB_CHECK_EVERY, SPACE_CHECK_EVERY};
use crate::store::contract::bench::{LEASE, deliver, envelope, settlement};
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Health, LeaseRequest, Settled, Store, StoreError};

#[tokio::test]
async fn a_nearly_full_disk_refuses_events_and_works_off_the_rest() {
    let place = Place::new();
    let store = place.open();
    let id = store.append(envelope("a")).await.unwrap().event();
    store.route(vec![(id, deliver(&["sumo"]))]).await.unwrap();
    store.close().await.unwrap();

    let options = SledOptions { free_bytes_min: u64::MAX, ..place.options() };
    let store = SledStore::open(&options, place.clock.clone()).unwrap();
    let refused = store.append(envelope("b")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Full { need_bytes: u64::MAX, .. }), "{refused}");
    let large = crate::store::contract::bench::with_body("c", vec![7; 1 << 20].into());
    assert!(matches!(store.append(large).await, Err(StoreError::Full { .. })));
    assert!(matches!(store.health(), Health::Full { free_bytes: 1.., need_bytes: u64::MAX }));
    // What is stored already is no new event.
    assert_eq!(store.append(envelope("a")).await.unwrap(), Appended::Duplicate(id));
    let request = LeaseRequest::at_once(HandlerName::new("sumo"), 1, LEASE);
    let held = store.lease(request).await.unwrap().deliveries.remove(0);
    let next = DeliveryState::Delivered { at: place.clock.now() };
    assert_eq!(store.settle(settlement(&held, next)).await.unwrap(), Settled::Applied);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_ballast_is_made_where_there_is_room() {
    let place = Place::new();
    let store = place.open();
    assert_eq!(place.file("ballast").metadata().unwrap().len(), crate::model::limits::BALLAST_BYTES);
    place.clock.advance(SPACE_CHECK_EVERY);
    assert!(matches!(store.append(envelope("a")).await.unwrap(), Appended::New(_)));
    store.close().await.unwrap();
}

#[tokio::test]
async fn blobs_that_cannot_be_listed_are_no_blobs() {
    let place = Place::new();
    let store = place.open();
    fs::remove_dir(place.file("blobs")).unwrap();
    fs::write(place.file("blobs"), "no directory").unwrap();
    for key in ["a", "b"] {
        place.clock.advance(BLOB_CHECK_EVERY);
        assert!(matches!(store.append(envelope(key)).await.unwrap(), Appended::New(_)));
    }
    // It goes on looking: one that is there is found.
    fs::remove_file(place.file("blobs")).unwrap();
    fs::create_dir(place.file("blobs")).unwrap();
    fs::write(place.file("blobs").join("1"), "").unwrap();
    place.clock.advance(BLOB_CHECK_EVERY);
    let refused = store.append(envelope("c")).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Failed { why } if why.contains("1 files in `blobs/`")),
        "{refused}"
    );
}

/// Says to a test that it is the process in which descriptors run out.
const CHILD: &str = "HOOKYARD_TEST_WITHOUT_DESCRIPTORS";

#[tokio::test]
async fn a_process_without_file_descriptors_stores_its_first_event() {
    if std::env::var_os(CHILD).is_some() {
        return store_without_descriptors().await;
    }
    let this = "store::sled::tests::disk::a_process_without_file_descriptors_stores_its_first_event";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let why = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}{why}");
}

async fn store_without_descriptors() {
    let place = Place::new();
    let store = place.open();
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).unwrap();
    let refused = fs::read_dir(place.dir.path()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()), "{refused}");
    assert!(matches!(store.append(envelope("a")).await.unwrap(), Appended::New(_)));
    place.clock.advance(BLOB_CHECK_EVERY);
    assert!(matches!(store.append(envelope("b")).await.unwrap(), Appended::New(_)));
    assert_eq!(store.health(), Health::Ready);
    store.close().await.unwrap();
    setrlimit(Resource::Nofile, before).unwrap();
    let store = place.open();
    assert_eq!(store.counts().await.unwrap().events, 2);
    store.close().await.unwrap();
}
