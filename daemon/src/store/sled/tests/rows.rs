//! Rows changed behind the store's back: what is found, and what still works.

use sled::Tree;

use super::{Place, tree};
use crate::model::attempt::{Attempt, Detail, Outcome};
use crate::model::clock::UnixMillis;
use crate::model::delivery::{DeadReason, DeliveryState};
use crate::model::event::Appended;
use crate::model::ids::{EventId, HandlerName};
use crate::model::limits::{ATTEMPT_LOG_LINES_MAX, DETAIL_BYTES_MAX, LOG_LINE_BYTES_MAX};
use crate::store::contract::bench::{
    LEASE, body, decision, deliver, delivery_id, envelope, settlement, with_body,
};
use crate::store::sled::events::Record;
use crate::store::sled::{SledStore, codec, keys};
use crate::store::{DeliveryQuery, LeaseRequest, Settlement, Store};

fn request() -> LeaseRequest {
    LeaseRequest::at_once(HandlerName::new("sumo"), 10, LEASE)
}

#[tokio::test]
async fn two_keys_with_one_hash_are_two_events() {
    let place = Place::new();
    let store = place.open();
    let first = store.append(envelope("a")).await.unwrap().event();
    let b = envelope("b");
    let hash = keys::idempotency_hash(&b.source, &b.idempotency_key);
    let tree = tree(&store);
    tree.insert(
        keys::idempotency(keys::IDEMPOTENCY, hash.row, 0),
        codec::encode_key_entry(first, UnixMillis(0), [0; 16]),
    )
    .unwrap();
    let Appended::New(second) = store.append(b.clone()).await.unwrap() else { panic!("another event") };
    assert_ne!(first, second);
    assert_eq!(store.append(b).await.unwrap(), Appended::Duplicate(second));
    assert_eq!(store.append(envelope("a")).await.unwrap(), Appended::Duplicate(first));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_becomes_a_dead_letter_and_stops_nobody() {
    let place = Place::new();
    let store = place.open();
    let bad = store.append(with_body("bad", body(9000))).await.unwrap().event();
    let good = store.append(envelope("good")).await.unwrap().event();
    store.route(vec![(bad, deliver(&["sumo"])), (good, deliver(&["sumo"]))]).await.unwrap();
    let tree = tree(&store);
    tree.insert(keys::chunk(&keys::of_event(keys::EVENTS, bad), 1), vec![8; 4096]).unwrap();
    let leased = store.lease(request()).await.unwrap().deliveries;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].delivery.id.event, good);
    let dead = DeliveryQuery { state: Some("dead".to_owned()), ..DeliveryQuery::default() };
    let dead = store.deliveries(dead).await.unwrap().rows;
    let DeliveryState::Dead { reason: DeadReason::Rejected { code, message }, .. } = &dead[0].state else {
        panic!("{:?}", dead[0])
    };
    assert_eq!((dead[0].id.event, code.as_str()), (bad, "event_unreadable"));
    assert!(message.contains("checksum"), "{message}");
}

#[tokio::test]
async fn long_words_of_a_plugin_are_cut_not_refused() {
    let place = Place::new();
    let store = place.open();
    let id = store.append(envelope("a")).await.unwrap().event();
    store.route(vec![(id, deliver(&["sumo"]))]).await.unwrap();
    let held = store.lease(request()).await.unwrap().deliveries.remove(0);
    let long = "ä".repeat(50_000);
    let detail = Detail { code: long.clone(), message: long.clone(), result: Some(long.clone()) };
    let attempt = Attempt {
        outcome: Outcome::Reject(detail),
        log: (0..100).map(|number| format!("{number} {long}")).collect(),
        ..settlement(&held, DeliveryState::Delivered { at: UnixMillis(0) }).attempt
    };
    let reason = DeadReason::Rejected { code: long.clone(), message: long };
    let next = DeliveryState::Dead { at: UnixMillis(1), reason };
    let settled = Settlement { delivery: held.delivery.id.clone(), token: held.token, attempt, next };
    store.settle(settled).await.unwrap();
    let attempts = store.attempts(held.delivery.id).await.unwrap();
    assert_eq!(attempts[0].log.len(), ATTEMPT_LOG_LINES_MAX);
    assert!(attempts[0].log[0].starts_with("80 ä"), "the last lines are kept");
    assert!(attempts[0].log.iter().all(|line| line.len() <= LOG_LINE_BYTES_MAX));
    assert_eq!(attempts[0].outcome.message().len(), DETAIL_BYTES_MAX);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

/// A store with an event in each standing.
async fn furnished(store: &SledStore) -> [EventId; 4] {
    let mut ids = Vec::new();
    for key in ["waits", "sumo", "unrouted", "dead"] {
        ids.push(store.append(with_body(key, body(9000))).await.unwrap().event());
    }
    let unrouted = crate::model::verdict::Verdict::Unrouted { reason: "none".to_owned() };
    let decisions = vec![
        (ids[1], deliver(&["other", "third"])),
        (ids[2], decision(unrouted)),
        (ids[3], deliver(&["sumo"])),
    ];
    store.route(decisions).await.unwrap();
    let held = store.lease(request()).await.unwrap().deliveries.remove(0);
    let again = DeliveryState::Pending { due: UnixMillis(1) };
    store.settle(settlement(&held, again)).await.unwrap();
    let held = store.lease(request()).await.unwrap().deliveries.remove(0);
    let reason = DeadReason::Rejected { code: "no".to_owned(), message: String::new() };
    let next = DeliveryState::Dead { at: UnixMillis(1), reason };
    store.settle(settlement(&held, next)).await.unwrap();
    [ids[0], ids[1], ids[2], ids[3]]
}

#[tokio::test]
async fn verify_finds_every_kind_of_damage() {
    type Damage = fn(&Tree, &[EventId; 4]);
    let kinds: [(&str, Damage); 28] = [
        ("checksum", |tree, ids| {
            put(tree, keys::chunk(&keys::of_event(keys::EVENTS, ids[0]), 2), &[1; 1000]);
        }),
        ("missing", |tree, ids| cut(tree, keys::chunk(&keys::of_event(keys::EVENTS, ids[0]), 1))),
        ("first chunk", |tree, ids| cut(tree, keys::chunk(&keys::of_event(keys::EVENTS, ids[0]), 0))),
        ("must wait for routing", |tree, ids| cut(tree, keys::of_event(keys::INBOX, ids[0]))),
        ("must wait for routing", |tree, ids| put(tree, keys::of_event(keys::INBOX, ids[1]), &[])),
        ("misses the row", |tree, ids| cut(tree, keys::of_event(keys::UNROUTED, ids[2]))),
        ("misses the row", |tree, ids| {
            cut(tree, keys::delivery(keys::DELIVERIES, &delivery_id(ids[1], "other")));
        }),
        ("nothing wakes it", |tree, _| cut_first(tree, keys::DUE)),
        ("no delivery that is due", |tree, ids| {
            put(tree, keys::due(&delivery_id(ids[1], "other"), UnixMillis(5)), &[]);
        }),
        ("are counted that wait for", |tree, _| cut_first(tree, keys::WAITING)),
        ("index of the dead", |tree, _| cut_first(tree, keys::DEAD)),
        ("is not recorded", |tree, _| cut_first(tree, keys::ATTEMPTS)),
        ("no idempotency key", |tree, _| cut_first(tree, keys::IDEMPOTENCY)),
        ("the totals", |tree, _| {
            put(tree, keys::TOTALS.to_vec(), &codec::encode_totals(&codec::Totals::default()));
        }),
        ("was moved aside", |tree, ids| put(tree, keys::aside(&keys::of_event(keys::INBOX, ids[0])), &[])),
        ("belongs to no table", |tree, _| put(tree, b"zebra".to_vec(), &[])),
        ("has 3 chunks, and yet", |tree, ids| {
            put(tree, keys::chunk(&keys::of_event(keys::EVENTS, ids[0]), 3), &[1]);
        }),
        ("is not what was decided on event", |tree, ids| {
            put(tree, keys::of_event(keys::DROPPED, ids[2]), &[]);
        }),
        ("is not what was decided on its event", |tree, ids| {
            let row =
                tree.get(keys::delivery(keys::DELIVERIES, &delivery_id(ids[3], "sumo"))).unwrap().unwrap();
            put(tree, keys::delivery(keys::DELIVERIES, &delivery_id(ids[3], "other")), &row);
        }),
        ("attempt 1 at delivery", |tree, ids| change(tree, ids[3], |row| row.first = None)),
        ("attempt 1 at delivery", |tree, ids| change(tree, ids[3], |row| row.first = Some(vec![1, 9]))),
        ("has no decision", |tree, ids| change(tree, ids[3], |row| row.decides = false)),
        ("must wait for routing", |tree, ids| {
            cut(tree, keys::delivery(keys::DELIVERIES, &delivery_id(ids[3], "sumo")));
        }),
        ("stands twice", |tree, ids| {
            let record = Record::plain(&codec::encode_decision(&deliver(&["sumo"])));
            put(tree, keys::chunk(&keys::of_event(keys::DECISIONS, ids[3]), 0), &record.chunk(0));
        }),
        ("has no decision", |tree, ids| cut(tree, keys::chunk(&keys::of_event(keys::DECISIONS, ids[1]), 0))),
        ("names no event of that key", |tree, ids| {
            let envelope = with_body("waits", bytes::Bytes::new());
            let hash = keys::idempotency_hash(&envelope.source, &envelope.idempotency_key);
            let entry = codec::encode_key_entry(ids[0], envelope.received, hash.rest);
            put(tree, keys::idempotency(keys::IDEMPOTENCY, hash.row, 1), &entry);
        }),
        ("names no event", |tree, ids| put(tree, keys::of_event(keys::INBOX, ids[0]), b"not empty")),
        ("a repair was begun", |tree, _| put(tree, keys::REPAIRING.to_vec(), &[])),
    ];
    for (told, damage) in kinds {
        let place = Place::new();
        let store = place.open();
        let ids = furnished(&store).await;
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
        damage(&tree(&store), &ids);
        let findings = store.verify().await.unwrap();
        assert!(findings.iter().any(|finding| finding.contains(told)), "{told}: {findings:?}");
    }
}

fn put(tree: &Tree, key: Vec<u8>, value: &[u8]) {
    tree.insert(key, value).unwrap();
}

fn cut(tree: &Tree, key: Vec<u8>) {
    assert!(tree.remove(key).unwrap().is_some(), "the row was there");
}

/// Changes what stands in the row of the delivery to `sumo`.
fn change(tree: &Tree, event: EventId, change: impl FnOnce(&mut codec::DeliveryRow)) {
    let id = delivery_id(event, "sumo");
    let key = keys::delivery(keys::DELIVERIES, &id);
    let mut row = codec::decode_delivery(id, &tree.get(&key).unwrap().unwrap()).unwrap();
    change(&mut row);
    put(tree, key, &codec::encode_delivery(&row));
}

fn cut_first(tree: &Tree, table: u8) {
    let (key, _) = tree.scan_prefix([table]).next().unwrap().unwrap();
    cut(tree, key.to_vec());
}
