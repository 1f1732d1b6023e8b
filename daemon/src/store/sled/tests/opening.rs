//! Directories as crashes, power cuts, operators and other processes leave them.

use std::fs;

use super::{Place, tree};
use crate::model::clock::UnixMillis;
use crate::model::delivery::DeliveryState;
use crate::model::event::Appended;
use crate::model::ids::HandlerName;
use crate::store::contract::bench::{LEASE, body, deliver, envelope, settlement, with_body};
use crate::store::sled::events::Record;
use crate::store::sled::{OpenError, SledOptions, SledStore, codec, keys};
use crate::store::{Health, LeaseRequest, Store};

/// A place that holds `count` events and is closed.
async fn place_with(count: usize) -> Place {
    let place = Place::new();
    let store = place.open();
    for number in 0..count {
        store.append(with_body(&number.to_string(), body(number * 997 % 9000))).await.unwrap();
    }
    store.close().await.unwrap();
    place
}

async fn assert_holds(place: &Place, count: usize) {
    let store = place.open();
    assert_eq!(store.counts().await.unwrap().events, count as u64);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    for number in 0..count {
        let again = store.append(envelope(&number.to_string())).await.unwrap();
        assert!(matches!(again, Appended::Duplicate(_)), "event {number} is known");
    }
    store.close().await.unwrap();
}

fn snapshots(place: &Place) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap.")).collect()
}

#[tokio::test]
async fn only_one_process_holds_a_store() {
    let place = Place::new();
    let store = place.open();
    let refused = place.refusal();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
    store.close().await.unwrap();
    place.open();
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let place = Place::new();
    fs::write(place.file("file"), "").unwrap();
    let path = place.file("file").join("store");
    let refused = SledStore::open(&SledOptions::new(&path), place.clock.clone()).unwrap_err();
    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
    assert!(matches!(refused, OpenError::Create { .. }));
}

#[tokio::test]
async fn a_missing_directory_is_made_for_this_user_alone() {
    let place = Place::new();
    let path = place.file("a").join("b");
    let store =
        SledStore::open(&SledOptions { path: path.clone(), ..place.options() }, place.clock.clone()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_that_a_killed_open_left_is_removed() {
    let place = place_with(20).await;
    let partial = place.file("snap.FFFFFFFFFFFFFFFF.generating");
    fs::write(&partial, [1, 2, 3]).unwrap();
    assert_holds(&place, 20).await;
    assert!(!partial.exists());
    assert!(!place.file("set-aside-1").exists(), "sled never saw it");
}

#[tokio::test]
async fn damaged_snapshots_are_moved_aside_and_nothing_is_lost() {
    let place = place_with(20).await;
    assert_holds(&place, 20).await;
    let damaged = snapshots(&place);
    assert!(!damaged.is_empty(), "opening a store with rows writes a snapshot");
    for snapshot in &damaged {
        fs::write(snapshot, vec![7; 4096]).unwrap();
    }
    assert_holds(&place, 20).await;
    assert!(place.file("set-aside-1").read_dir().unwrap().count() >= 1);
}

#[tokio::test]
async fn a_store_that_lost_its_rows_is_refused_not_begun_anew() {
    for ruin in [
        (|place: &Place| fs::remove_file(place.file("db")).unwrap()) as fn(&Place),
        |place| fs::write(place.file("db"), "").unwrap(),
        |place| {
            fs::remove_file(place.file("db")).unwrap();
            snapshots(place).iter().for_each(|snapshot| fs::remove_file(snapshot).unwrap());
            place.edit(|tree| drop(tree.insert("mother", "row").unwrap()));
        },
        |place| {
            place.edit(|tree| {
                tree.scan_prefix([keys::EVENTS])
                    .keys()
                    .for_each(|key| drop(tree.remove(key.unwrap()).unwrap()));
            });
        },
    ] {
        let place = place_with(5).await;
        ruin(&place);
        let refused = place.refusal();
        assert!(matches!(refused, OpenError::Emptied { .. }), "{refused}");
        assert!(refused.to_string().contains("restore the directory from a backup"), "{refused}");
    }
}

#[tokio::test]
async fn a_store_with_fewer_events_than_were_acknowledged_is_refused() {
    let (old, new) = (place_with(5).await, place_with(9).await);
    fs::copy(new.file("high-water"), old.file("high-water")).unwrap();
    let refused = old.refusal();
    assert!(matches!(refused, OpenError::Emptied { noted: 9, found: 5, .. }), "{refused}");
}

#[tokio::test]
async fn damage_is_told_and_every_byte_is_kept() {
    let place = place_with(20).await;
    snapshots(&place).iter().for_each(|snapshot| fs::remove_file(snapshot).unwrap());
    let conf = fs::read(place.file("conf")).unwrap();
    fs::write(place.file("conf"), "neither here nor there").unwrap();
    let db = fs::read(place.file("db")).unwrap();
    let refused = place.refusal();
    assert!(matches!(refused, OpenError::Unreadable { .. }), "{refused}");
    assert!(refused.to_string().contains("copy the directory before anything else"), "{refused}");
    assert!(fs::read(place.file("db")).unwrap() == db, "the log is untouched");
    fs::write(place.file("conf"), conf).unwrap();
    assert_holds(&place, 20).await;
}

#[tokio::test]
async fn a_first_open_that_was_cut_short_is_begun_anew() {
    // Killed between sled's two writes of `conf`: there is no log yet.
    let place = Place::new();
    fs::write(place.file("conf"), "use_compression: fal").unwrap();
    assert_holds(&place, 0).await;

    // A power cut in the first open: a log full of nothing, and no event was ever acknowledged.
    let place = Place::new();
    fs::write(place.file("conf"), "use_compression: fal").unwrap();
    fs::write(place.file("db"), vec![0; 512 * 1024]).unwrap();
    assert_holds(&place, 0).await;
    assert!(place.file("set-aside-1").join("db").exists(), "even that is kept");
}

#[tokio::test]
async fn a_store_of_a_newer_hookyard_is_refused() {
    let place = place_with(3).await;
    place.edit(|tree| drop(tree.insert(keys::SCHEMA, &[9]).unwrap()));
    let refused = place.refusal();
    assert!(matches!(refused, OpenError::Newer { found: 9, known: 4, .. }), "{refused}");
    assert!(refused.to_string().contains("start the newer hookyard"), "{refused}");
}

/// Rows as version 3 wrote them: a decision, a delivery and its attempts each in rows of their own, a body unpacked.
#[tokio::test]
async fn rows_of_the_version_before_are_read_and_go_on() {
    let place = Place::new();
    let store = place.open();
    let id = store.append(with_body("old", body(9000))).await.unwrap().event();
    let decided = deliver(&["sumo"]);
    store.route(vec![(id, decided.clone())]).await.unwrap();
    let lease = || LeaseRequest::at_once(HandlerName::new("sumo"), 1, LEASE);
    let held = store.lease(lease()).await.unwrap().deliveries.remove(0);
    store.settle(settlement(&held, DeliveryState::Pending { due: UnixMillis(1) })).await.unwrap();
    let delivery = held.delivery.id.clone();
    let attempts = store.attempts(delivery.clone()).await.unwrap();
    store.close().await.unwrap();
    place.edit(|tree| {
        let key = keys::delivery(keys::DELIVERIES, &delivery);
        let mut row = codec::decode_delivery(delivery.clone(), &tree.get(&key).unwrap().unwrap()).unwrap();
        assert!(std::mem::take(&mut row.decides));
        let first = Record::plain(&row.first.take().unwrap());
        tree.insert(keys::chunk(&keys::attempt(&delivery, 1), 0), first.chunk(0)).unwrap();
        let decision = Record::plain(&codec::encode_decision(&decided));
        tree.insert(keys::chunk(&keys::of_event(keys::DECISIONS, id), 0), decision.chunk(0)).unwrap();
        tree.insert(key, codec::encode_delivery(&row)).unwrap();
        tree.insert(keys::SCHEMA, &[3]).unwrap();
    });
    let store = place.open();
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    assert_eq!(store.decision(id).await.unwrap(), Some(decided.clone()));
    assert_eq!(store.attempts(delivery.clone()).await.unwrap(), attempts);
    let held = store.lease(lease()).await.unwrap().deliveries.remove(0);
    assert_eq!(held.event.envelope.body, body(9000));
    store.settle(settlement(&held, DeliveryState::Delivered { at: UnixMillis(2) })).await.unwrap();
    assert_eq!(store.attempts(delivery).await.unwrap().len(), 2);
    assert_eq!(store.decision(id).await.unwrap(), Some(decided));
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_waits_is_counted_in_a_store_of_the_version_before() {
    let place = place_with(3).await;
    let store = place.open();
    for event in store.to_route(3).await.unwrap() {
        store.route(vec![(event.id, deliver(&["sumo", "direct"]))]).await.unwrap();
    }
    let waiting = store.waiting_by_handler().await.unwrap();
    assert_eq!(waiting, [(HandlerName::new("direct"), 3), (HandlerName::new("sumo"), 3)]);
    store.close().await.unwrap();
    place.edit(|tree| {
        tree.scan_prefix([keys::WAITING]).keys().for_each(|key| drop(tree.remove(key.unwrap()).unwrap()));
        tree.insert(keys::SCHEMA, &[2]).unwrap();
    });
    let store = place.open();
    assert_eq!(store.waiting_by_handler().await.unwrap(), waiting);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn blob_files_are_refused_at_open_and_found_while_running() {
    let place = place_with(3).await;
    let store = place.open();
    fs::write(place.file("blobs").join("1"), "").unwrap();
    place.clock.advance(crate::model::limits::BLOB_CHECK_EVERY);
    let refused = loop {
        match store.append(envelope("more")).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(refused) => break refused,
        }
    };
    assert!(refused.to_string().contains("blobs"), "{refused}");
    assert!(matches!(store.health(), Health::Failed { .. }));
    let other = place_with(1).await;
    fs::write(other.file("blobs").join("1"), "").unwrap();
    assert!(matches!(other.refusal(), OpenError::Blobs { count: 1, .. }));
}

#[tokio::test]
async fn leftovers_of_a_half_written_event_are_removed() {
    let place = place_with(3).await;
    let id = crate::model::ids::EventId::from_parts(1_900_000_000_000, 7);
    place.edit(|tree| {
        tree.insert(keys::of_event(keys::STAGED, id), &[]).unwrap();
        for number in 1..2500 {
            tree.insert(keys::chunk(&keys::of_event(keys::EVENTS, id), number), vec![7; 64]).unwrap();
        }
    });
    let store = place.open();
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    assert_eq!(tree(&store).scan_prefix(keys::of_event(keys::EVENTS, id)).count(), 0);
    store.close().await.unwrap();
    assert_holds(&place, 3).await;
}
