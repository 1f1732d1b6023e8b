//! Compaction: what lives is copied whole, the disk space comes back, and a stop at any step leaves a store to open.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Place;
use crate::model::event::Appended;
use crate::model::ids::{PluginId, RuleName};
use crate::model::memory::Expect;
use crate::model::retention::Retention;
use crate::model::verdict::Verdict;
use crate::store::Store;
use crate::store::contract::bench::{body, decision, deliver, envelope, with_body};
use crate::store::sled::compact::{self, switch};
use crate::store::sled::{CompactError, CompactPhase, Compacted, OpenError, SledStore, keys};

const EVENTS: usize = 300;
const KEPT: usize = 30;

/// A closed store in which most events are removed, and all its rows.
async fn place() -> (Place, BTreeMap<Vec<u8>, Vec<u8>>) {
    let place = Place::new();
    let store = place.open();
    let dropped = || decision(Verdict::Dropped { rule: RuleName::new("r"), reason: "noise".to_owned() });
    for number in 0..EVENTS {
        let id = store.append(with_body(&number.to_string(), body(9000))).await.unwrap().event();
        let kept = number >= EVENTS - KEPT;
        let decision = if kept { deliver(&["sumo"]) } else { dropped() };
        store.route(vec![(id, decision)]).await.unwrap();
    }
    store.append(with_body("large", body(400_000))).await.unwrap();
    store.kv_put(PluginId::new("p"), b"k".to_vec(), b"v".to_vec(), Expect::Absent).await.unwrap();
    // What is removed before sled has it takes no space there.
    drop(super::tree(&store));
    place.clock.advance(Duration::from_secs(1));
    let retention = Retention { delivered: Duration::from_secs(1), ..Retention::default() };
    let mut after = None;
    loop {
        let pruned = store.prune(retention, after).await.unwrap();
        after = pruned.reached;
        if !pruned.more {
            break;
        }
    }
    assert_eq!(store.counts().await.unwrap().events, KEPT as u64 + 1);
    store.close().await.unwrap();
    let rows = rows(&place);
    (place, rows)
}

/// All rows of a store that is closed.
fn rows(place: &Place) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    place.edit(|tree| {
        for row in tree.iter() {
            let (key, value) = row.unwrap();
            // How far of the journal sled has come moves on with every start and end.
            if key != keys::JOURNAL {
                rows.insert(key.to_vec(), value.to_vec());
            }
        }
    });
    rows
}

async fn compact(place: &Place) -> Result<Compacted, CompactError> {
    SledStore::compact(place.options(), place.clock.clone(), |_| {}).await
}

/// The store opens, is sound, holds these rows and knows its events.
async fn assert_holds(place: &Place, rows_before: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let store = place.open();
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    for key in ["large", "0", "299"] {
        assert!(matches!(store.append(envelope(key)).await.unwrap(), Appended::Duplicate(_)), "{key}");
    }
    store.close().await.unwrap();
    assert!(rows(place) == *rows_before, "the same rows");
    for left in ["compacting", "compacted"] {
        assert!(!place.file(left).exists(), "{left} is gone");
    }
}

#[tokio::test]
async fn what_lives_is_copied_and_the_space_comes_back() {
    let (place, before) = place().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let compacted = SledStore::compact(place.options(), place.clock.clone(), move |progress| {
        tell.lock().unwrap().push((progress.phase, progress.rows, progress.of));
    });
    let compacted = compacted.await.unwrap();
    // And the row of the journal's position.
    let count = before.len() as u64 + 1;
    assert_eq!(compacted.rows, count);
    let position_bytes = keys::JOURNAL.len() + 16;
    let row_bytes: usize =
        position_bytes + before.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    assert_eq!(compacted.row_bytes, row_bytes as u64);
    assert!(compacted.after_bytes * 2 < compacted.before_bytes, "{compacted:?}");
    assert_eq!(
        *told.lock().unwrap(),
        [
            (CompactPhase::Reading, count, None),
            (CompactPhase::Copying, count, Some(count)),
            (CompactPhase::Checking, count, Some(count)),
        ]
    );
    assert_holds(&place, &before).await;
    compact(&place).await.unwrap();
    assert_holds(&place, &before).await;
}

#[tokio::test]
async fn a_stop_at_any_step_of_the_switch_is_made_good_by_the_next_open() {
    let (place, before) = place().await;
    let mut stops = 0;
    loop {
        place.open().close().await.unwrap();
        assert_holds(&place, &before).await;
        compact::copy_all(&place.options(), &mut |_| {}).unwrap();
        let mut steps = 0;
        let mut stop_at = |_: &str| {
            steps += 1;
            if steps > stops { Err(io::Error::other("killed")) } else { Ok(()) }
        };
        let switched = switch::switch(place.dir.path(), &mut stop_at);
        assert!(place.file("db").exists(), "at no point is there no log");
        if switched.is_ok() {
            break;
        }
        stops += 1;
    }
    assert!(stops >= 5, "declare, snapshots, log, conf, the rest: {stops}");
    assert_holds(&place, &before).await;
}

#[tokio::test]
async fn a_copy_in_the_making_is_removed_by_the_next_open() {
    let (place, before) = place().await;
    fs::create_dir(place.file("compacting")).unwrap();
    fs::copy(place.file("db"), place.file("compacting").join("db")).unwrap();
    fs::write(place.file("compacting").join("conf"), "half").unwrap();
    assert_holds(&place, &before).await;
}

#[tokio::test]
async fn only_a_store_that_nobody_uses_is_compacted() {
    let (place, before) = place().await;
    let store = place.open();
    let refused = compact(&place).await.unwrap_err();
    assert!(matches!(refused, CompactError::Open(OpenError::Locked { .. })), "{refused}");
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
    store.close().await.unwrap();
    assert_holds(&place, &before).await;

    let nowhere = Place::new();
    let refused = compact(&nowhere).await.unwrap_err();
    assert!(matches!(refused, CompactError::Missing { .. }), "{refused}");
    assert_eq!(fs::read_dir(nowhere.dir.path()).unwrap().count(), 0, "and none is made");
}

#[tokio::test]
async fn nobody_gets_in_between() {
    let (place, _) = place().await;
    let (options, clock) = (place.options(), place.clock.clone());
    let refused = Arc::new(Mutex::new(Vec::new()));
    let tries = Arc::clone(&refused);
    let compacted = SledStore::compact(place.options(), place.clock.clone(), move |_| {
        let other = SledStore::open(&options, clock.clone());
        tries.lock().unwrap().push(matches!(other, Err(OpenError::Locked { .. })));
    });
    compacted.await.unwrap();
    assert_eq!(*refused.lock().unwrap(), [true; 3]);
}

#[tokio::test]
async fn a_tree_of_somebody_else_is_not_lost() {
    let (place, _) = place().await;
    let db = ::sled::Config::new().path(place.dir.path()).cache_capacity(1 << 20).open().unwrap();
    db.open_tree("zebra").unwrap().insert("k", "v").unwrap();
    drop(db);
    let refused = compact(&place).await.unwrap_err();
    assert!(matches!(&refused, CompactError::UnknownTree { tree, .. } if tree == "zebra"), "{refused}");
    assert!(!place.file("compacting").exists());
}

#[test]
fn too_little_space_is_told_with_how_much_is_needed() {
    let place = Place::new();
    let refused = compact::refuse_if_tight(place.dir.path(), u64::MAX / 4).unwrap_err();
    let CompactError::Space { need_bytes, free_bytes, .. } = &refused else { panic!("{refused}") };
    assert!(need_bytes > free_bytes);
    assert!(refused.to_string().contains(&need_bytes.to_string()), "{refused}");
    compact::refuse_if_tight(place.dir.path(), 0).unwrap();
}
