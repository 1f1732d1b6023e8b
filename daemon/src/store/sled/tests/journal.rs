//! The journal as crashes, disks and operators leave it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, mpsc as std_mpsc};

use super::Place;
use crate::store::contract::bench::{body, envelope, with_body};
use crate::store::sled::SledStore;
use crate::store::sled::writer::Durability;
use crate::store::{EventQuery, Health, Store, StoreError};

/// Opens with an applier that waits before its first sync until the sender goes.
fn open_held(place: &Place) -> (SledStore, std_mpsc::Sender<()>) {
    let (go, wait) = std_mpsc::channel::<()>();
    let sync_sled = Box::new(move |file: &File| {
        let _let_go = wait.recv();
        file.sync_data()
    });
    let durability = Durability { sync_sled, ..Durability::default() };
    (SledStore::open_with(&place.options(), place.clock.clone(), durability).unwrap(), go)
}

async fn append(store: &SledStore, keys: impl Iterator<Item = u32>) {
    for key in keys {
        store.append(with_body(&key.to_string(), body(3000))).await.unwrap();
    }
}

pub(super) fn segments(place: &Place) -> Vec<PathBuf> {
    let files = fs::read_dir(place.file("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    files.sort();
    files
}

/// Where the frames of the first segment begin.
fn frames(place: &Place) -> Vec<u64> {
    let bytes = fs::read(&segments(place)[0]).unwrap();
    (1..bytes.len() / 4096)
        .map(|block| block * 4096)
        .filter(|at| bytes[*at..].starts_with(b"HYjf"))
        .map(|at| at as u64)
        .collect()
}

fn spoil(place: &Place, at: u64) {
    let file = File::options().write(true).open(&segments(place)[0]).unwrap();
    file.write_all_at(&[0x5a; 16], at + 100).unwrap();
}

async fn assert_holds(place: &Place, events: u64) {
    let store = place.open();
    assert_eq!(store.counts().await.unwrap().events, events);
    assert_eq!(
        store.events(EventQuery { bodies: true, ..EventQuery::default() }).await.unwrap().rows.len() as u64,
        events
    );
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_sled_does_not_have_yet_is_seen_and_survives() {
    let place = Place::new();
    let (store, go) = open_held(&place);
    append(&store, 0..20).await;
    assert_eq!(store.counts().await.unwrap().events, 20);
    assert_eq!(store.to_route(100).await.unwrap().len(), 20);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    let killed = place.image();
    assert_holds(&killed, 20).await;
    assert_holds(&killed, 20).await;
    drop(go);
    store.close().await.unwrap();
    assert_holds(&place, 20).await;
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_a_damaged_middle_is_refused() {
    let place = Place::new();
    let (store, go) = open_held(&place);
    append(&store, 0..10).await;
    let torn = place.image();
    let all = frames(&torn);
    assert!(all.len() >= 10, "{all:?}");
    spoil(&torn, *all.last().unwrap());
    assert_holds(&torn, 9).await;
    // The tail stays where it is, and nothing is written over it.
    assert_holds(&torn, 9).await;

    let damaged = place.image();
    spoil(&damaged, all[all.len() - 2]);
    let refused = damaged.refusal().to_string();
    assert!(refused.contains("00000001.seg is damaged at byte"), "{refused}");
    assert!(refused.contains("copy the store's directory"), "{refused}");
    drop(go);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_journal_that_is_not_this_stores_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    for place in [&place, &other] {
        let store = place.open();
        append(&store, 0..3).await;
        store.close().await.unwrap();
    }
    let (gone, swapped) = (place.image(), place.image());
    fs::remove_dir_all(gone.file("journal")).unwrap();
    for _ in 0..2 {
        let refused = gone.refusal().to_string();
        assert!(refused.contains("does not belong to this store's rows"), "{refused}");
    }
    fs::remove_dir_all(swapped.file("journal")).unwrap();
    fs::create_dir(swapped.file("journal")).unwrap();
    super::copy(&other.file("journal"), &swapped.file("journal")).unwrap();
    let refused = swapped.refusal().to_string();
    assert!(refused.contains("it was written for another one"), "{refused}");
    assert_holds(&place, 3).await;
}

#[tokio::test]
async fn a_file_that_was_made_ready_and_never_used_stands_for_no_loss() {
    let place = Place::new();
    let (store, go) = open_held(&place);
    // Made ready before there was a commit, and so it says.
    while segments(&place).len() < 2 {
        tokio::task::yield_now().await;
    }
    append(&store, 0..3).await;
    let (killed, behind) = (place.image(), place.image());
    drop(go);
    store.close().await.unwrap();
    let ready = segments(&killed).remove(1);

    // The next start takes both back once sled has everything; a cut leaves that only the first was.
    let store = killed.open();
    super::tree(&store);
    append(&store, 3..4).await;
    while segments(&killed).contains(&ready) {
        tokio::task::yield_now().await;
    }
    let cut = killed.image();
    store.close().await.unwrap();
    let spare = cut.file("journal").join("spare-2");
    assert!(spare.exists(), "it was taken back");
    fs::rename(spare, cut.file("journal").join("00000002.seg")).unwrap();
    // The same files beside a sled that never had the commits are a loss.
    fs::remove_dir_all(behind.file("journal")).unwrap();
    fs::create_dir(behind.file("journal")).unwrap();
    super::copy(&cut.file("journal"), &behind.file("journal")).unwrap();
    assert_holds(&cut, 4).await;
    let refused = behind.refusal().to_string();
    assert!(refused.contains("does not belong to this store's rows"), "{refused}");
}

#[tokio::test]
async fn a_missing_file_of_the_journal_is_refused() {
    let place = Place::new();
    let (store, go) = open_held(&place);
    append(&store, 0..3000).await;
    let cut = place.image();
    let files = segments(&cut);
    assert!(files.len() >= 4, "{files:?}");
    fs::remove_file(&files[1]).unwrap();
    let refused = cut.refusal().to_string();
    assert!(refused.contains("the file before it is missing"), "{refused}");
    let shorter = place.image();
    fs::remove_file(&segments(&shorter)[0]).unwrap();
    let refused = shorter.refusal().to_string();
    assert!(refused.contains("it begins with commit"), "{refused}");
    drop(go);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_file_of_the_journal_that_was_cut_is_refused() {
    let place = Place::new();
    let (store, go) = open_held(&place);
    append(&store, 0..10).await;
    let cut = place.image();
    let at = frames(&cut)[6];
    File::options().write(true).open(&segments(&cut)[0]).unwrap().set_len(at).unwrap();
    let refused = cut.refusal().to_string();
    assert!(refused.contains(&format!("is damaged at byte {at}: it was cut short")), "{refused}");

    // What looks like a torn end is none where a later file knows of more.
    let killed = place.image();
    let (second, go_second) = open_held(&killed);
    let torn = killed.image();
    for at in &frames(&torn)[8..] {
        spoil(&torn, *at);
    }
    let refused = torn.refusal().to_string();
    assert!(refused.contains("the end of the file before it is missing"), "{refused}");
    for (store, go) in [(store, go), (second, go_second)] {
        drop(go);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn rows_older_than_the_journal_are_refused() {
    let place = Place::new();
    let store = place.open();
    append(&store, 0..3).await;
    store.close().await.unwrap();
    let older = place.image();
    let store = place.open();
    append(&store, 3..6).await;
    store.close().await.unwrap();
    let store = place.open();
    while segments(&place).len() > 2 {
        tokio::task::yield_now().await;
    }
    let killed = place.image();
    store.close().await.unwrap();
    // As a copy of the directory that a backup program took file by file.
    for name in fs::read_dir(killed.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()) {
        let name = name.to_string_lossy().into_owned();
        if name == "db" || name.starts_with("snap.") {
            fs::remove_file(killed.file(&name)).unwrap();
        }
    }
    for entry in fs::read_dir(older.dir.path()).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "db" || name.starts_with("snap.") {
            fs::copy(entry.path(), killed.file(&name)).unwrap();
        }
    }
    let refused = killed.refusal().to_string();
    assert!(refused.contains("they end with commit 4, and it begins with commit"), "{refused}");
}

#[tokio::test]
async fn full_segments_are_used_again() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let mut asking = tokio::task::JoinSet::new();
    for writer in 0..16_u32 {
        let store = store.clone();
        asking.spawn(async move { append(&store, writer * 1000..writer * 1000 + 400).await });
    }
    asking.join_all().await;
    drop(super::tree(&store));
    let numbers: Vec<_> = segments(&place);
    assert!(numbers.len() <= 3, "{numbers:?}");
    let first = numbers[0].file_stem().unwrap().to_string_lossy().parse::<u32>().unwrap();
    assert!(first > 3, "20 MB went through files of 4 MB: {numbers:?}");
    store.close().await.unwrap();
    assert_holds_counts(&place, 6400).await;
}

async fn assert_holds_counts(place: &Place, events: u64) {
    let store = place.open();
    assert_eq!(store.counts().await.unwrap().events, events);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_sync_of_sled_that_fails_is_final_and_costs_nothing() {
    let place = Place::new();
    let sync_sled = Box::new(|_: &File| Err(io::Error::other("the cable fell out")));
    let durability = Durability { sync_sled, ..Durability::default() };
    let store = SledStore::open_with(&place.options(), place.clock.clone(), durability).unwrap();
    append(&store, 0..5).await;
    while store.health() == Health::Ready {
        tokio::task::yield_now().await;
    }
    let told = store.append(envelope("more")).await.unwrap_err();
    assert!(matches!(&told, StoreError::Failed { why } if why.contains("the cable fell out")), "{told}");
    assert!(matches!(store.close().await, Err(StoreError::Failed { .. })));
    assert_holds(&place.image(), 5).await;
}
