//! Damaged rows: the rest goes on, and nothing is deleted.

use super::{Place, tree};
use crate::model::clock::{Clock, UnixMillis};
use crate::model::delivery::DeliveryState;
use crate::model::ids::{EventId, HandlerName};
use crate::model::limits::UNREADABLE_MARKS_MAX;
use crate::model::verdict::Verdict;
use crate::store::contract::bench::{LEASE, body, deliver, delivery_id, envelope, settlement, with_body};
use crate::store::sled::{SledStore, keys};
use crate::store::{EventQuery, LeaseRequest, Leased, Routing, Settled, Store};

async fn appended(store: &SledStore, key: &str) -> EventId {
    store.append(with_body(key, body(9000))).await.unwrap().event()
}

async fn routed(store: &SledStore, key: &str) -> EventId {
    let id = appended(store, key).await;
    store.route(vec![(id, deliver(&["sumo"]))]).await.unwrap();
    id
}

async fn lease(store: &SledStore, max: usize) -> Leased {
    let handler = HandlerName::new("sumo");
    store.lease(LeaseRequest::at_once(handler, max, LEASE)).await.unwrap()
}

fn rows_aside(store: &SledStore) -> Vec<Vec<u8>> {
    tree(store).scan_prefix([keys::ASIDE]).keys().map(|key| key.unwrap()[1..].to_vec()).collect()
}

fn ids(leased: &Leased) -> Vec<EventId> {
    leased.deliveries.iter().map(|held| held.delivery.id.event).collect()
}

/// Makes the delivery's row unreadable, as a torn disk would; its row in the due index stays.
fn spoil_delivery(store: &SledStore, event: EventId) {
    let key = keys::delivery(keys::DELIVERIES, &delivery_id(event, "sumo"));
    assert!(tree(store).insert(key, b"garbage").unwrap().is_some());
}

/// Puts rows into the due index that lead nowhere, before all others. Returns them.
fn lost_due_rows(store: &SledStore) -> [Vec<u8>; 2] {
    let nobody = keys::due(&delivery_id(EventId::from_parts(1, 1), "sumo"), UnixMillis(1));
    let torn = [&keys::due_prefix(&HandlerName::new("sumo"))[..], b"\0torn"].concat();
    let rows = [nobody, torn];
    rows.iter().for_each(|row| drop(tree(store).insert(row.clone(), &[]).unwrap()));
    rows
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_unrouted_and_the_others_are_routed() {
    let place = Place::new();
    let store = place.open();
    let spoilt = appended(&store, "spoilt").await;
    let missing = appended(&store, "missing").await;
    let unnamed = appended(&store, "unnamed").await;
    let good = appended(&store, "good").await;
    let tree = tree(&store);
    tree.insert(keys::chunk(&keys::of_event(keys::EVENTS, spoilt), 1), vec![8; 4096]).unwrap();
    tree.remove(keys::chunk(&keys::of_event(keys::EVENTS, missing), 0)).unwrap().unwrap();
    tree.remove(keys::of_event(keys::INBOX, unnamed)).unwrap().unwrap();
    tree.insert(b"i\0torn", b"what it held").unwrap();

    let waiting = store.to_route(1).await.unwrap();
    assert_eq!(waiting.iter().map(|event| event.id).collect::<Vec<_>>(), [good]);
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.to_route, counts.unrouted), (1, 2));
    for (id, why) in [(spoilt, "checksum"), (missing, "is missing")] {
        let decision = store.decision(id).await.unwrap().unwrap();
        let Verdict::Unrouted { reason } = &decision.verdict else { panic!("{decision:?}") };
        assert!(reason.starts_with("unreadable: ") && reason.contains(why), "{reason}");
        assert_eq!(decision.snapshot.as_str(), "-");
    }
    assert_eq!(rows_aside(&store), [b"i\0torn".to_vec()]);
    assert_eq!(tree.get(b"oi\0torn").unwrap().unwrap(), b"what it held");

    store.route(vec![(good, deliver(&["sumo"]))]).await.unwrap();
    assert_eq!(store.to_route(9).await.unwrap(), []);
    let unrouted = EventQuery { routing: Some(Routing::Unrouted), bodies: true, ..EventQuery::default() };
    let readable = store.append(envelope("no rule")).await.unwrap().event();
    let none = Verdict::Unrouted { reason: "none".to_owned() };
    store.route(vec![(readable, crate::store::contract::bench::decision(none))]).await.unwrap();
    let listed = store.events(unrouted).await.unwrap().rows;
    assert_eq!(listed.iter().map(|event| event.id).collect::<Vec<_>>(), [readable]);
    assert!(store.event(spoilt).await.is_err(), "asked for by name it says what is wrong");
    store.close().await.unwrap();
}

#[tokio::test]
async fn many_unreadable_events_are_settled_batch_by_batch() {
    let place = Place::new();
    let store = place.open();
    let count = UNREADABLE_MARKS_MAX + 5;
    let mut spoilt = Vec::new();
    for number in 0..count {
        spoilt.push(store.append(envelope(&number.to_string())).await.unwrap().event());
    }
    let tree = tree(&store);
    for id in spoilt {
        tree.insert(keys::chunk(&keys::of_event(keys::EVENTS, id), 0), b"garbage").unwrap();
    }
    let good = appended(&store, "good").await;
    assert_eq!(store.to_route(9).await.unwrap(), []);
    assert_eq!(store.counts().await.unwrap().unrouted, UNREADABLE_MARKS_MAX as u64);
    assert_eq!(store.to_route(9).await.unwrap()[0].id, good);
    assert_eq!(store.counts().await.unwrap().unrouted, count as u64);
}

#[tokio::test]
async fn a_bad_delivery_row_stops_no_lease() {
    let place = Place::new();
    let store = place.open();
    let spoilt = routed(&store, "spoilt").await;
    let good = routed(&store, "good").await;
    spoil_delivery(&store, spoilt);
    let lost = lost_due_rows(&store);
    let bad_due = keys::due(&delivery_id(spoilt, "sumo"), place.clock.now());

    // The bad rows stand in front and use up what one lease looks at: it says to look again at once.
    let first = lease(&store, 1).await;
    assert_eq!((ids(&first), first.next_due), (vec![], Some(place.clock.now())));
    let second = lease(&store, 1).await;
    assert_eq!((ids(&second), second.next_due), (vec![good], Some(place.clock.now())));
    let third = lease(&store, 1).await;
    assert_eq!((ids(&third), third.next_due), (vec![], Some(place.clock.now().plus(LEASE))));
    let mut aside = rows_aside(&store);
    aside.sort();
    let mut want = vec![lost[0].clone(), lost[1].clone(), bad_due];
    want.sort();
    assert_eq!(aside, want);
    let key = keys::delivery(keys::DELIVERIES, &delivery_id(spoilt, "sumo"));
    assert_eq!(tree(&store).get(key).unwrap().unwrap(), b"garbage", "kept as it is");
    let next = DeliveryState::Delivered { at: place.clock.now() };
    let settled = store.settle(settlement(&second.deliveries[0], next)).await.unwrap();
    assert_eq!(settled, Settled::Applied);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_bad_delivery_row_stops_no_start() {
    let place = Place::new();
    let store = place.open();
    let spoilt = routed(&store, "spoilt").await;
    let good = routed(&store, "good").await;
    assert_eq!(lease(&store, 9).await.deliveries.len(), 2);
    spoil_delivery(&store, spoilt);
    lost_due_rows(&store);
    store.close().await.unwrap();

    let store = place.open();
    assert_eq!(store.take_back_leases().await.unwrap(), 1);
    assert_eq!(rows_aside(&store).len(), 3);
    assert_eq!(ids(&lease(&store, 9).await), [good]);
    let findings = store.verify().await.unwrap();
    assert!(findings.iter().any(|finding| finding.contains("was moved aside")), "{findings:?}");
    store.close().await.unwrap();
}
