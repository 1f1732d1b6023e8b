//! Derived rows damaged at random, in a store of any age, whose retention has removed some events: a repair writes them as
//! they were, and touches nothing else. To the byte, but for what has two forms: keys and marks of the first version.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use sled::Tree;

use super::Place;
use crate::model::clock::{Clock, UnixMillis};
use crate::model::delivery::{DeadReason, DeliveryState};
use crate::model::ids::{EventId, HandlerName, PluginId, RuleName, StepId};
use crate::model::memory::Expect;
use crate::model::retention::Retention;
use crate::model::verdict::Verdict;
use crate::store::contract::bench::{
    LEASE, body, decision, deliver, delivery_id, envelope, settlement, with_body,
};
use crate::store::sled::repair::{self, Progress, Step};
use crate::store::sled::{SledOptions, SledStore, codec, derived, keys};
use crate::store::{LeaseRequest, Repaired, Store, Upkeep};

const HANDLERS: [&str; 3] = ["a", "ab", "sumo"];

/// Removes what is done, and keeps its keys.
const RETENTION: Retention = Retention {
    delivered: Duration::from_secs(100),
    dead: Duration::from_secs(100_000),
    keys: Duration::from_secs(100_000),
};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// All rows but how far sled has come with the journal, which every start moves on.
fn rows(place: &Place) -> Rows {
    let mut all = Rows::new();
    place.edit(|tree| all = rows_in(tree));
    all.remove(keys::JOURNAL);
    all
}

fn rows_in(tree: &Tree) -> Rows {
    tree.iter().map(|row| row.unwrap()).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn open_to_repair(place: &Place) -> SledStore {
    let options = SledOptions { recount: true, ..place.options() };
    SledStore::open(&options, place.clock.clone()).unwrap()
}

/// An event in one of the standings that there are; `how` picks which.
async fn furnish(store: &SledStore, place: &Place, nth: usize, how: u8) {
    let id = store.append(with_body(&nth.to_string(), body(nth * 1700))).await.unwrap().event();
    let verdict = match how % 8 {
        0 => return,
        1 => decision(Verdict::Unrouted { reason: "none".to_owned() }),
        2 => decision(Verdict::Dropped { rule: RuleName::new("r"), reason: "why".to_owned() }),
        3 => deliver(&HANDLERS),
        _ => deliver(&[HANDLERS[usize::from(how) % 3]]),
    };
    store.route(vec![(id, verdict)]).await.unwrap();
    let handler = HandlerName::new(HANDLERS[usize::from(how / 8) % 3]);
    let request = LeaseRequest::at_once(handler, 1, LEASE);
    let Some(held) = store.lease(request).await.unwrap().deliveries.pop() else { return };
    let step = StepId { delivery: held.delivery.id.clone(), step: "user".into() };
    store.step_begin(step.clone()).await.unwrap();
    store.step_end(step, vec![how]).await.unwrap();
    store.kv_put(PluginId::new("p"), vec![how], vec![1], Expect::Anything).await.unwrap();
    let now = place.clock.now();
    let reason = DeadReason::Rejected { code: "no".to_owned(), message: String::new() };
    let next = match how / 32 {
        0 => return,
        1 | 2 => DeliveryState::Dead { at: now, reason },
        3 => DeliveryState::Pending { due: UnixMillis(now.0 + 77) },
        4 => DeliveryState::Ignored { at: now },
        _ => DeliveryState::Delivered { at: now },
    };
    store.settle(settlement(&held, next)).await.unwrap();
}

/// A store with events in these standings, the first `old` of which are so old that those that are done were removed.
async fn furnished(standings: &[u8], old: usize) -> Place {
    let place = Place::new();
    let store = place.open();
    for (nth, how) in standings.iter().enumerate() {
        if nth == old {
            place.clock.advance(RETENTION.delivered);
            while store.prune(RETENTION, None).await.unwrap().more {}
        }
        furnish(&store, &place, nth, *how).await;
    }
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
    place
}

/// Makes every third of the keys whose event is there, and of the marks, one that the first version wrote.
fn age(tree: &Tree) {
    let ids = ids_in(&rows_in(tree));
    for (key, value) in rows_in(tree).into_iter().step_by(3) {
        match key[0] {
            keys::UNROUTED | keys::DROPPED => drop(tree.insert(key, &[]).unwrap()),
            keys::IDEMPOTENCY => {
                let id = codec::decode_key_entry(&value).unwrap().event;
                if ids.contains(&id) {
                    // In both forms the id comes first, then when it was received; only the second has more.
                    let first = [&[1], &value[1..value.len() - keys::HASH_BYTES]].concat();
                    tree.insert(key, first).unwrap();
                }
            }
            _ => {}
        }
    }
    if let Some(first) = ids.last() {
        tree.insert(keys::of_event(keys::ALIASES, EventId::from_parts(7, 7)), &first.to_bytes()).unwrap();
    }
}

fn ids_in(rows: &Rows) -> BTreeSet<EventId> {
    rows.keys().filter(|key| key[0] == keys::EVENTS).filter_map(|key| keys::event_in(key)).collect()
}

#[derive(Debug, Clone)]
enum Damage {
    Delete(usize),
    Alter(usize, Vec<u8>),
    /// Takes or adds the last byte of a row's key.
    Shorten(usize),
    Lengthen(usize, u8),
    /// Copies a row's value under another row's key.
    Copy(usize, usize),
    MoveAside(usize),
    /// A mark in one of the mark tables, of the nth event or of none.
    Mark(usize, Option<usize>),
    DueAt(usize, u64),
    Dead(usize),
    Slot(usize, u8),
    Totals(Option<Vec<u8>>),
    Counts(u64),
    /// Makes one unreadable, or moves it aside.
    Tombstone(usize, bool),
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..30);
    prop_oneof![
        6 => (0_usize..500).prop_map(Damage::Delete),
        2 => (0_usize..500, bytes()).prop_map(|(nth, value)| Damage::Alter(nth, value)),
        1 => (0_usize..500).prop_map(Damage::Shorten),
        1 => (0_usize..500, any::<u8>()).prop_map(|(nth, byte)| Damage::Lengthen(nth, byte)),
        1 => (0_usize..500, 0_usize..500).prop_map(|(from, to)| Damage::Copy(from, to)),
        1 => (0_usize..500).prop_map(Damage::MoveAside),
        2 => (0_usize..3, proptest::option::of(0_usize..20)).prop_map(|(table, of)| Damage::Mark(table, of)),
        1 => (0_usize..20, any::<u64>()).prop_map(|(nth, at)| Damage::DueAt(nth, at)),
        1 => (0_usize..20).prop_map(Damage::Dead),
        1 => (0_usize..20, 1_u8..20).prop_map(|(nth, slot)| Damage::Slot(nth, slot)),
        1 => proptest::option::of(bytes()).prop_map(Damage::Totals),
        1 => any::<u64>().prop_map(Damage::Counts),
        1 => (0_usize..20, any::<bool>()).prop_map(|(nth, aside)| Damage::Tombstone(nth, aside)),
    ]
}

fn apply(tree: &Tree, damage: &Damage) {
    let all = rows_in(tree);
    let ids = ids_in(&all);
    let derived: Vec<_> = all.iter().filter(|(key, value)| is_derived(key, value, &ids)).collect();
    let tombstones: Vec<_> = all.keys().filter(|key| key[0] == keys::TOMBSTONES).collect();
    let events: Vec<EventId> = ids.into_iter().collect();
    let event = |nth: usize| events[nth % events.len()];
    let put = |key: Vec<u8>, value: &[u8]| drop(tree.insert(key, value).unwrap());
    let row = |nth: usize| {
        let found = derived.get(nth % derived.len().max(1));
        found.map(|(key, value)| ((*key).clone(), (*value).clone()))
    };
    match damage {
        Damage::Delete(nth) => row(*nth).into_iter().for_each(|(key, _)| drop(tree.remove(key).unwrap())),
        Damage::Alter(nth, value) => row(*nth).into_iter().for_each(|(key, _)| put(key, value)),
        Damage::Shorten(nth) => {
            row(*nth).into_iter().for_each(|(key, value)| put(key[..key.len() - 1].to_vec(), &value));
        }
        Damage::Lengthen(nth, byte) => {
            row(*nth).into_iter().for_each(|(key, value)| put([&key[..], &[*byte]].concat(), &value));
        }
        Damage::Copy(from, to) => {
            row(*from).zip(row(*to)).into_iter().for_each(|((_, value), (key, _))| put(key, &value));
        }
        Damage::MoveAside(nth) => {
            row(*nth).into_iter().for_each(|(key, value)| {
                tree.remove(&key).unwrap();
                put(keys::aside(&key), &value);
            });
        }
        Damage::Mark(table, of) => {
            let table = [keys::INBOX, keys::UNROUTED, keys::DROPPED][*table];
            put(keys::of_event(table, of.map_or(EventId::from_parts(1, 1), event)), &[]);
        }
        Damage::DueAt(nth, at) => put(keys::due(&delivery_id(event(*nth), "sumo"), UnixMillis(*at)), &[]),
        Damage::Dead(nth) => put(keys::delivery(keys::DEAD, &delivery_id(event(*nth), "sumo")), &[]),
        Damage::Slot(nth, slot) => {
            let other = envelope("nobody");
            let hash = keys::idempotency_hash(&other.source, &other.idempotency_key);
            let entry = codec::encode_key_entry(event(*nth), UnixMillis(0), hash.rest);
            put(keys::idempotency(keys::IDEMPOTENCY, hash.row, *slot), &entry);
        }
        Damage::Totals(None) => drop(tree.remove(keys::TOTALS).unwrap()),
        Damage::Totals(Some(value)) => put(keys::TOTALS.to_vec(), value),
        Damage::Counts(count) => {
            let row = tree.get(keys::TOTALS).unwrap();
            let Some(Ok(mut totals)) = row.map(|row| codec::decode_totals(&row)) else { return };
            totals.counts.pending = *count;
            totals.counts.unrouted = count / 3;
            put(keys::TOTALS.to_vec(), &codec::encode_totals(&totals));
        }
        Damage::Tombstone(nth, aside) => {
            let Some(key) = tombstones.get(nth % tombstones.len().max(1)) else { return };
            put(key.to_vec(), &[9]);
            if *aside {
                tree.remove(key).unwrap();
                put(keys::aside(key), &[9]);
            }
        }
    }
}

/// Whether the row follows from others. The key of an event that is gone does not.
fn is_derived(key: &[u8], value: &[u8], ids: &BTreeSet<EventId>) -> bool {
    let outlives = || codec::decode_key_entry(value).is_ok_and(|entry| !ids.contains(&entry.event));
    keys::DERIVED.contains(&key[0]) && !(key[0] == keys::IDEMPOTENCY && outlives())
}

/// The first `steps` commits of a repair; then nothing more, as after a kill.
async fn repair_cut_short(store: &SledStore, steps: usize) {
    let mut progress = Progress::begin();
    for _ in 0..steps {
        match store.write(0, move |round| repair::step(round, progress)).await.unwrap() {
            Step::More(further) => progress = further,
            Step::Done(_) => return,
        }
    }
    let told = store.verify().await.unwrap();
    let unfinished = told.iter().any(|told| told.contains("a repair was begun and did not end"));
    assert!(unfinished || steps == 0, "{told:?}");
}

async fn damaged_and_repaired(standings: &[u8], old: usize, damages: &[Damage], cut: usize) {
    let place = furnished(standings, old).await;
    place.edit(age);
    let whole = rows(&place);
    place.edit(|tree| damages.iter().for_each(|damage| apply(tree, damage)));

    let store = open_to_repair(&place);
    repair_cut_short(&store, cut).await;
    store.close().await.unwrap();

    let store = open_to_repair(&place);
    store.repair().await.unwrap();
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    assert_eq!(store.repair().await.unwrap(), Repaired::default(), "nothing is left to do");
    store.close().await.unwrap();
    let repaired = rows(&place);
    for (key, value) in &whole {
        let mended = repaired.get(key);
        let same = mended.is_some_and(|mended| is_same(key, value, mended));
        assert!(same, "the row {}: {value:?} became {mended:?}", hex::encode(key));
    }
    assert_eq!(repaired.len(), whole.len());
}

/// Whether a repair may have made the row of what it was.
fn is_same(key: &[u8], was: &[u8], is: &[u8]) -> bool {
    match key[0] {
        // When it was decided is lost with a mark.
        keys::UNROUTED | keys::DROPPED => derived::is_mark_value(key[0], is),
        keys::IDEMPOTENCY if was[0] == 1 => {
            is == was
                || (is[0] == 2 && is[1..].starts_with(&was[1..]) && is.len() == was.len() + keys::HASH_BYTES)
        }
        _ => is == was,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn any_damage_to_derived_rows_is_repaired(
        standings in proptest::collection::vec(any::<u8>(), 1..18),
        old in 0_usize..9,
        damages in proptest::collection::vec(damage(), 1..14),
        cut in 0_usize..15,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(damaged_and_repaired(&standings, old, &damages, cut));
    }
}

#[tokio::test]
async fn every_derived_row_at_once_is_written_anew() {
    let standings: Vec<u8> = (0..=255).step_by(3).collect();
    let place = furnished(&standings, 0).await;
    let whole = rows(&place);
    place.edit(|tree| {
        for table in keys::DERIVED {
            tree.scan_prefix([table]).keys().for_each(|key| drop(tree.remove(key.unwrap()).unwrap()));
        }
        tree.remove(keys::TOTALS).unwrap();
    });
    assert!(place.refusal().to_string().contains("hookyard doctor --repair"));
    let store = open_to_repair(&place);
    let repaired = store.repair().await.unwrap();
    assert_eq!(repaired.written["idempotency keys"], standings.len() as u64);
    assert!(repaired.removed.is_empty(), "{repaired:?}");
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
    assert!(rows(&place) == whole);
}

#[tokio::test]
async fn what_leads_to_an_unreadable_event_is_kept() {
    let place = furnished(&[0, 1, 40], 0).await;
    let before = rows(&place);
    let id = keys::event_in(before.keys().find(|key| key[0] == keys::EVENTS).unwrap()).unwrap();
    place.edit(|tree| {
        let chunk = keys::chunk(&keys::of_event(keys::EVENTS, id), 0);
        let mut damaged = tree.get(&chunk).unwrap().unwrap().to_vec();
        damaged[20] ^= 1;
        tree.insert(chunk, damaged).unwrap();
    });
    let damaged = rows(&place);
    let store = open_to_repair(&place);
    assert_eq!(store.repair().await.unwrap(), Repaired::default());
    let told = store.verify().await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("checksum"), "{told:?}");
    store.close().await.unwrap();
    assert!(rows(&place) == damaged);
}

#[tokio::test]
async fn a_tombstone_without_its_key_goes_and_a_key_without_its_tombstone_too() {
    let place = furnished(&[2, 2, 2, 0], 3).await;
    let whole = rows(&place);
    assert_eq!(whole.keys().filter(|key| key[0] == keys::TOMBSTONES).count(), 3);
    let tombstone_of =
        |nth: usize| whole.iter().filter(|(key, _)| key[0] == keys::TOMBSTONES).nth(nth).unwrap();
    let key_of = |nth: usize| {
        keys::idempotency(keys::IDEMPOTENCY, codec::decode_tombstone(tombstone_of(nth).1).unwrap(), 0)
    };
    place.edit(|tree| {
        tree.remove(key_of(0)).unwrap();
        tree.remove(tombstone_of(1).0).unwrap();
    });
    let store = place.open();
    let told = store.verify().await.unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("names no event of that key"), "{told:?}");
    assert!(told[1].contains("has no key, or has an event"), "{told:?}");
    let repaired = store.repair().await.unwrap();
    assert_eq!(repaired.removed, [("idempotency keys", 1), ("tombstones", 1)].into());
    assert_eq!((repaired.written.len(), repaired.totals), (0, None));
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
    let repaired = rows(&place);
    assert_eq!(repaired.len(), whole.len() - 4);
    assert_eq!(repaired.get(&key_of(2)), whole.get(&key_of(2)));
}

#[tokio::test]
async fn totals_that_are_too_low_stop_nothing() {
    let place = furnished(&[0, 1, 3, 4], 0).await;
    let whole = rows(&place);
    place.edit(|tree| {
        let mut totals = codec::decode_totals(&tree.get(keys::TOTALS).unwrap().unwrap()).unwrap();
        totals.counts = crate::store::Counts::default();
        tree.insert(keys::TOTALS, codec::encode_totals(&totals)).unwrap();
    });
    let store = place.open();
    let waiting = store.to_route(9).await.unwrap();
    assert_eq!(waiting.len(), 1);
    store.route(vec![(waiting[0].id, deliver(&HANDLERS))]).await.unwrap();
    store.take_back_leases().await.unwrap();
    store.prune(RETENTION, None).await.unwrap();
    let told = store.verify().await.unwrap();
    assert!(told.iter().all(|told| told.contains("the totals")) && told.len() == 1, "{told:?}");
    store.repair().await.unwrap();
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    assert_eq!(store.counts().await.unwrap().events, 4);
    store.close().await.unwrap();
    assert!(whole.len() < rows(&place).len());
}
