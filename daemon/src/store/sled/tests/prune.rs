//! Retention in this engine's rows: keys that share half a hash, rows of the first version, what a kill leaves half removed.

use std::time::Duration;

use super::Place;
use crate::model::clock::UnixMillis;
use crate::model::delivery::DeliveryState;
use crate::model::event::Appended;
use crate::model::ids::{EventId, HandlerName, RuleName, SnapshotHash};
use crate::model::limits::{PRUNE_EVENTS_MAX, PRUNE_SCAN_EVENTS_MAX};
use crate::model::retention::Retention;
use crate::model::verdict::Verdict;
use crate::store::contract::bench::{
    LEASE, body, decision, deliver, delivery_id, envelope, settlement, with_body,
};
use crate::store::sled::events::Record;
use crate::store::sled::{SledStore, codec, deliveries, keys, prune};
use crate::store::{Counts, LeaseRequest, Store};

const RETENTION: Retention = Retention {
    delivered: Duration::from_secs(100),
    dead: Duration::from_secs(1000),
    keys: Duration::from_secs(500),
};

fn dropped() -> Verdict {
    Verdict::Dropped { rule: RuleName::new("r"), reason: "noise".to_owned() }
}

/// An event that is dropped at once.
async fn drop_one(store: &SledStore, key: &str, bytes: usize) -> EventId {
    let id = store.append(with_body(key, body(bytes))).await.unwrap().event();
    store.route(vec![(id, decision(dropped()))]).await.unwrap();
    id
}

/// An event that one handler has delivered.
async fn deliver_one(store: &SledStore, key: &str, at: UnixMillis) -> EventId {
    let id = store.append(envelope(key)).await.unwrap().event();
    store.route(vec![(id, deliver(&["sumo"]))]).await.unwrap();
    let handler = HandlerName::new("sumo");
    let request = LeaseRequest::at_once(handler, 1, LEASE);
    let held = store.lease(request).await.unwrap().deliveries.remove(0);
    store.settle(settlement(&held, DeliveryState::Delivered { at })).await.unwrap();
    id
}

async fn prune_all(store: &SledStore) -> (u64, u64, u64) {
    let (mut events, mut keys, mut unreadable, mut after) = (0, 0, 0, None);
    loop {
        let pruned = store.prune(RETENTION, after).await.unwrap();
        events += pruned.events;
        keys += pruned.keys;
        unreadable += pruned.unreadable;
        after = pruned.reached;
        if !pruned.more {
            return (events, keys, unreadable);
        }
    }
}

async fn assert_sound(store: &SledStore) {
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_key_row_of_the_first_version_outlives_its_event_too() {
    let place = Place::new();
    let store = place.open();
    let id = drop_one(&store, "a", 10).await;
    let sent = envelope("a");
    let hash = keys::idempotency_hash(&sent.source, &sent.idempotency_key);
    let mut first = vec![1];
    first.extend_from_slice(&id.to_bytes());
    first.push(0);
    let tree = super::tree(&store);
    tree.insert(keys::idempotency(keys::IDEMPOTENCY, hash.row, 0), first).unwrap();
    assert_eq!(store.append(sent.clone()).await.unwrap(), Appended::Duplicate(id));
    place.clock.advance(RETENTION.delivered);
    assert_eq!(prune_all(&store).await, (1, 0, 0));
    assert_eq!(store.append(sent.clone()).await.unwrap(), Appended::Duplicate(id));
    assert_sound(&store).await;
    place.clock.advance(RETENTION.keys);
    assert_eq!(prune_all(&store).await, (0, 1, 0));
    assert!(matches!(store.append(sent).await.unwrap(), Appended::New(_)));
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_mark_of_the_first_version_counts_from_when_the_event_was_received() {
    let place = Place::new();
    let store = place.open();
    let id = drop_one(&store, "a", 10).await;
    let tree = super::tree(&store);
    tree.insert(keys::of_event(keys::DROPPED, id), &[]).unwrap();
    place.clock.advance(RETENTION.delivered - Duration::from_millis(1));
    assert_eq!(prune_all(&store).await, (0, 0, 0));
    place.clock.advance(Duration::from_millis(1));
    assert_eq!(prune_all(&store).await, (1, 0, 0));
}

#[tokio::test]
async fn keys_that_share_half_a_hash_stay_found_when_one_of_them_goes() {
    let place = Place::new();
    let store = place.open();
    let [a, b] = ["a", "b"].map(envelope);
    let hash_of =
        |sent: &crate::model::event::Envelope| keys::idempotency_hash(&sent.source, &sent.idempotency_key);
    // The first event's key also stands before the second's, as if their hashes began alike.
    let first = drop_one(&store, "a", 10).await;
    let tree = super::tree(&store);
    let entry = codec::encode_key_entry(first, UnixMillis(0), hash_of(&a).rest);
    tree.insert(keys::idempotency(keys::IDEMPOTENCY, hash_of(&b).row, 0), entry).unwrap();
    tree.remove(keys::idempotency(keys::IDEMPOTENCY, hash_of(&a).row, 0)).unwrap();
    let second = store.append(b.clone()).await.unwrap().event();
    let tree = super::tree(&store);
    assert!(tree.contains_key(keys::idempotency(keys::IDEMPOTENCY, hash_of(&b).row, 1)).unwrap());

    // What `prune` leaves of the first event, as it would with such a hash.
    tree.insert(keys::of_event(keys::TOMBSTONES, first), codec::encode_tombstone(hash_of(&b).row)).unwrap();
    place.clock.advance(RETENTION.keys);
    assert_eq!(store.prune(RETENTION, Some(second)).await.unwrap().keys, 1);
    assert_eq!(store.append(b).await.unwrap(), Appended::Duplicate(second));
    let tree = super::tree(&store);
    assert!(!tree.contains_key(keys::idempotency(keys::IDEMPOTENCY, hash_of(&a).row, 1)).unwrap());
}

#[tokio::test]
async fn a_kill_between_two_rounds_is_made_good_by_the_next_open_or_the_next_call() {
    for reopen in [true, false] {
        let place = Place::new();
        let mut store = place.open();
        let id = drop_one(&store, "large", 12_000_000).await;
        let kept = drop_one(&store, "kept", 20_000).await;
        place.clock.advance(RETENTION.delivered);
        let first = store.prune(RETENTION, None).await.unwrap();
        assert!(first.more && first.events == 1, "{first:?}");
        assert_eq!(store.counts().await.unwrap(), Counts { events: 1, dropped: 1, ..Counts::default() });
        let findings = store.verify().await.unwrap();
        assert!(findings.iter().any(|finding| finding.contains("half-removed")), "{findings:?}");
        if reopen {
            store.close().await.unwrap();
            store = place.open();
        } else {
            // From anywhere: what is left is not looked for behind the cursor.
            while store.prune(RETENTION, Some(kept)).await.unwrap().more {}
        }
        assert_sound(&store).await;
        let tree = super::tree(&store);
        assert_eq!(tree.scan_prefix(keys::of_event(keys::EVENTS, id)).count(), 0);
        assert!(store.event(kept).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_delivery_opened_again_after_the_search_keeps_its_event() {
    let place = Place::new();
    let store = place.open();
    let opened = deliver_one(&store, "opened", UnixMillis(0)).await;
    let other = deliver_one(&store, "other", UnixMillis(0)).await;
    place.clock.advance(RETENTION.delivered);
    let rows = store.shared.engine_now().unwrap().rows.clone();
    let now = crate::model::clock::Clock::now(&*place.clock);
    let found = prune::search(&rows, &RETENTION, now, None).unwrap();

    let id = delivery_id(opened, "sumo");
    store
        .write(100, move |round| {
            let mut row = deliveries::row(round, &id)?.expect("it is delivered");
            let before = row.delivery.clone();
            row.delivery.state = DeliveryState::Pending { due: round.now };
            deliveries::put_delivery(round, Some(&before), &row)
        })
        .await
        .unwrap();
    let pruned = store.write(0, move |round| prune::remove(round, &RETENTION, &found)).await.unwrap();
    assert_eq!((pruned.events, pruned.oldest), (1, Some(other)));
    assert!(store.event(opened).await.unwrap().is_some());
    assert_eq!(store.counts().await.unwrap(), Counts { events: 1, pending: 1, ..Counts::default() });
    assert_sound(&store).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_counted_and_stops_nothing() {
    type Damage = fn(&::sled::Tree, EventId);
    let kinds: &[(&str, u64, Damage)] = &[
        ("its first chunk", 1, |tree, id| {
            tree.insert(keys::chunk(&keys::of_event(keys::EVENTS, id), 0), &[9; 30]).unwrap();
        }),
        ("its decision", 1, |tree, id| {
            tree.insert(keys::chunk(&keys::of_event(keys::DECISIONS, id), 0), &[9; 30]).unwrap();
        }),
        ("its delivery", 1, |tree, id| {
            tree.insert(keys::delivery(keys::DELIVERIES, &delivery_id(id, "sumo")), &[9]).unwrap();
        }),
        ("one of its deliveries is gone", 1, |tree, id| {
            let decision = Record::plain(&codec::encode_decision(&deliver(&["sumo", "direct"])));
            tree.insert(keys::chunk(&keys::of_event(keys::DECISIONS, id), 0), decision.chunk(0)).unwrap();
        }),
        // Its decision went with it, so retention takes the event for one that was never routed.
        ("its only delivery is gone", 0, |tree, id| {
            tree.remove(keys::delivery(keys::DELIVERIES, &delivery_id(id, "sumo"))).unwrap();
        }),
    ];
    for (what, unreadable, damage) in kinds {
        let place = Place::new();
        let store = place.open();
        let bad = deliver_one(&store, "bad", UnixMillis(0)).await;
        let good = deliver_one(&store, "good", UnixMillis(0)).await;
        let tree = super::tree(&store);
        damage(&tree, bad);
        let of_bad = |tree: &::sled::Tree| {
            tree.iter().keys().filter(|key| keys::event_in(key.as_ref().unwrap()) == Some(bad)).count()
        };
        let before = of_bad(&tree);
        place.clock.advance(RETENTION.delivered);
        assert_eq!(prune_all(&store).await, (1, 0, *unreadable), "{what}");
        assert_eq!(store.event(good).await.unwrap(), None);
        let tree = super::tree(&store);
        assert_eq!(of_bad(&tree), before, "{what}: nothing of it was removed");
    }
}

#[tokio::test]
async fn a_tombstone_that_cannot_be_read_is_moved_aside() {
    let place = Place::new();
    let store = place.open();
    let id = drop_one(&store, "a", 10).await;
    place.clock.advance(RETENTION.delivered);
    assert_eq!(prune_all(&store).await, (1, 0, 0));
    let tree = super::tree(&store);
    tree.insert(keys::of_event(keys::TOMBSTONES, id), &[9]).unwrap();
    tree.insert([keys::TOMBSTONES, 0], &[]).unwrap();
    place.clock.advance(RETENTION.keys);
    assert_eq!(prune_all(&store).await, (0, 0, 0));
    let tree = super::tree(&store);
    assert_eq!(tree.scan_prefix([keys::TOMBSTONES]).count(), 0);
    assert_eq!(tree.scan_prefix([keys::ASIDE]).count(), 2, "kept, and told by verify");
}

#[tokio::test]
async fn one_call_looks_at_no_more_than_its_bound() {
    let place = Place::new();
    let store = place.open();
    let unrouted = || decision(Verdict::Unrouted { reason: "no".to_owned() });
    let mut ids = Vec::new();
    for number in 0..PRUNE_SCAN_EVENTS_MAX + 5 {
        ids.push(store.append(envelope(&number.to_string())).await.unwrap().event());
    }
    store.route(ids.iter().map(|id| (*id, unrouted())).collect()).await.unwrap();
    let last = drop_one(&store, "last", 10).await;
    place.clock.advance(RETENTION.delivered);
    let first = store.prune(RETENTION, None).await.unwrap();
    assert_eq!((first.events, first.more), (0, true));
    assert_eq!(first.reached, Some(ids[PRUNE_SCAN_EVENTS_MAX - 1]));
    let second = store.prune(RETENTION, first.reached).await.unwrap();
    assert_eq!((second.events, second.more, second.reached), (1, false, Some(last)));
    assert!(second.events <= PRUNE_EVENTS_MAX as u64);
    // From where it ended there is nothing to walk over again.
    let third = store.prune(RETENTION, second.reached).await.unwrap();
    assert_eq!((third.events, third.more, third.reached), (0, false, Some(last)));
    let snapshot = SnapshotHash::new("0123456789abcdef");
    assert_eq!(store.decision(ids[0]).await.unwrap().unwrap().snapshot, snapshot, "kept");
}
