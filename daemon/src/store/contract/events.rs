//! Appending, routing, listing, closing.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::bench::{Bench, body, decision, deliver, delivery_id, envelope, with_body};
use crate::model::delivery::{DeadReason, DeliveryState};
use crate::model::event::Appended;
use crate::model::ids::{DeliveryId, EventId, HandlerName, RuleName, SourceName};
use crate::model::limits::{EVENT_BODY_BYTES_MAX, EVENT_META_BYTES_MAX};
use crate::model::verdict::Verdict;
use crate::store::{Counts, DeliveryQuery, EventQuery, Health, Routing, StoreError};

pub(super) async fn an_event_comes_back_as_it_came(bench: &Bench) {
    let sent = envelope("a");
    let Appended::New(id) = bench.append(sent.clone()).await else { panic!("the first is new") };
    assert_eq!(bench.append(sent.clone()).await, Appended::Duplicate(id));
    assert_eq!(bench.store.event(id).await.unwrap().unwrap().envelope, sent);
    assert_eq!(id.millis(), bench.now().0);
    assert_eq!(bench.store.event(id.next().unwrap()).await.unwrap(), None);
    let waiting = bench.store.to_route(10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].envelope, sent);
    assert_eq!(bench.counts().await, Counts { events: 1, to_route: 1, ..Counts::default() });
}

pub(super) async fn bodies_of_every_size_come_back(bench: &Bench) {
    let sizes = [
        0,
        1,
        100,
        3_000,
        3_900,
        4_095,
        4_096,
        4_097,
        8_192,
        65_536,
        200_000,
        255_000,
        262_144,
        300_000,
        1 << 20,
        25_000_000,
    ];
    for (number, size) in sizes.into_iter().enumerate() {
        let sent = with_body(&format!("k{number}"), body(size));
        let id = bench.append(sent.clone()).await.event();
        let stored = bench.store.event(id).await.unwrap().unwrap();
        assert!(stored.envelope == sent, "a body of {size} bytes comes back as it came");
        assert_eq!(bench.append(sent).await, Appended::Duplicate(id), "{size} bytes");
    }
    assert_eq!(bench.counts().await.events, sizes.len() as u64);
    let page = bench.store.events(EventQuery::default()).await.unwrap();
    assert_eq!(page.rows.len(), sizes.len());
    assert!(page.rows.iter().all(|event| event.envelope.body.is_empty()));
}

pub(super) async fn one_key_is_one_event_however_many_ask_at_once(bench: &Bench) {
    for size in [200, 400_000] {
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let (store, sent) = (bench.store.clone(), with_body(&format!("size {size}"), body(size)));
            asking.spawn(async move { store.append(sent).await.unwrap() });
        }
        let answers = asking.join_all().await;
        let new = answers.iter().filter(|answer| matches!(answer, Appended::New(_))).count();
        let ids: BTreeSet<EventId> = answers.iter().map(|answer| answer.event()).collect();
        assert_eq!((new, ids.len()), (1, 1), "{size} bytes");
    }
    assert_eq!(bench.counts().await.events, 2);
}

pub(super) async fn keys_are_apart_by_source(bench: &Bench) {
    let mut other = envelope("a");
    other.source = SourceName::new("other");
    assert!(matches!(bench.append(envelope("a")).await, Appended::New(_)));
    assert!(matches!(bench.append(other.clone()).await, Appended::New(_)));
    assert!(matches!(bench.append(other).await, Appended::Duplicate(_)));
}

pub(super) async fn ids_grow_though_the_clock_steps_nowhere(bench: &Bench) {
    let mut ids = Vec::new();
    for number in 0..50 {
        ids.push(bench.append(envelope(&number.to_string())).await.event());
        if number % 10 == 0 {
            bench.clock.advance(Duration::from_millis(1));
        }
    }
    assert!(ids.is_sorted());
    let waiting: Vec<EventId> =
        bench.store.to_route(100).await.unwrap().iter().map(|event| event.id).collect();
    assert_eq!(waiting, ids);
    assert_eq!(bench.store.to_route(7).await.unwrap().len(), 7);
}

pub(super) async fn what_is_too_large_is_refused_and_leaves_nothing(bench: &Bench) {
    let huge = with_body("huge", Bytes::from(vec![0; EVENT_BODY_BYTES_MAX + 1]));
    let refused = bench.store.append(huge).await.unwrap_err();
    assert!(matches!(refused, StoreError::TooLarge { max: EVENT_BODY_BYTES_MAX, .. }), "{refused}");
    let mut wordy = envelope("wordy");
    wordy.provider_id = "x".repeat(EVENT_META_BYTES_MAX);
    assert!(matches!(bench.store.append(wordy).await, Err(StoreError::TooLarge { .. })));
    assert_eq!(bench.counts().await, Counts::default());
}

pub(super) async fn routing_takes_the_mark_away_once(bench: &Bench) {
    let id = bench.append(envelope("a")).await.event();
    assert_eq!(bench.store.decision(id).await.unwrap(), None);
    bench.store.route(vec![(id, deliver(&["sumo", "direct"]))]).await.unwrap();
    assert_eq!(bench.store.decision(id).await.unwrap(), Some(deliver(&["sumo", "direct"])));
    assert!(bench.store.to_route(10).await.unwrap().is_empty());
    // A second routing, say of a process that was slow, changes nothing.
    bench.store.route(vec![(id, deliver(&["other"])), (id.next().unwrap(), deliver(&["x"]))]).await.unwrap();
    assert_eq!(bench.store.decision(id).await.unwrap(), Some(deliver(&["sumo", "direct"])));
    let counts = bench.counts().await;
    assert_eq!(counts, Counts { events: 1, pending: 2, ..Counts::default() });
    let deliveries = bench.store.deliveries(DeliveryQuery::default()).await.unwrap().rows;
    let handlers: Vec<&str> = deliveries.iter().map(|delivery| delivery.id.handler.as_str()).collect();
    assert_eq!(handlers, ["direct", "sumo"]);
    assert_eq!(deliveries[0].state, DeliveryState::Pending { due: bench.now() });
    assert_eq!((deliveries[0].attempts, deliveries[0].created), (0, bench.now()));
    assert_eq!(deliveries[0].snapshot.as_str(), "0123456789abcdef");
    assert_eq!(deliveries[0].rule.as_str(), "a rule");
    bench.store.route(Vec::new()).await.unwrap();
}

pub(super) async fn every_verdict_is_kept_and_counted(bench: &Bench) {
    let verdicts = [
        Verdict::Unrouted { reason: "no rule took it".to_owned() },
        Verdict::Dropped { rule: RuleName::new("noise"), reason: "asked to".to_owned() },
        deliver(&["sumo"]).verdict,
    ];
    let mut decisions = Vec::new();
    for (number, verdict) in verdicts.into_iter().enumerate() {
        let id = bench.append(envelope(&number.to_string())).await.event();
        decisions.push((id, decision(verdict)));
    }
    bench.store.route(decisions.clone()).await.unwrap();
    let want = Counts { events: 3, unrouted: 1, dropped: 1, pending: 1, ..Counts::default() };
    assert_eq!(bench.counts().await, want);
    let ways = [Routing::Unrouted, Routing::Dropped, Routing::Routed];
    for ((id, decision), routing) in decisions.into_iter().zip(ways) {
        assert_eq!(bench.store.decision(id).await.unwrap(), Some(decision));
        let query = EventQuery { routing: Some(routing), ..EventQuery::default() };
        let found: Vec<EventId> =
            bench.store.events(query).await.unwrap().rows.iter().map(|event| event.id).collect();
        assert_eq!(found, [id], "{routing:?}");
    }
}

pub(super) async fn a_decision_with_many_handlers_is_kept(bench: &Bench) {
    let names: Vec<String> = (0..300).map(|number| format!("{number:03}-{}", "h".repeat(60))).collect();
    let handlers: Vec<&str> = names.iter().map(String::as_str).collect();
    let ids = [bench.routed("a", &handlers).await, bench.routed("b", &handlers).await];
    assert_eq!(bench.store.decision(ids[0]).await.unwrap(), Some(deliver(&handlers)));
    assert_eq!(bench.counts().await.pending, 600);
    let too_long = deliver(&[&"h".repeat(1000)]);
    let id = bench.append(envelope("c")).await.event();
    let refused = bench.store.route(vec![(id, too_long)]).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
}

pub(super) async fn pages_of_events_fit_together(bench: &Bench) {
    let mut ids = Vec::new();
    for number in 0..25 {
        let mut sent = with_body(&number.to_string(), body(number * 700));
        if number % 3 == 0 {
            sent.event_type = "charge.refunded".to_owned();
        }
        ids.push(bench.append(sent).await.event());
    }
    for newest_first in [false, true] {
        for limit in [1, 7, 25, 0] {
            let query = EventQuery { limit, newest_first, bodies: true, ..EventQuery::default() };
            let mut found = all_events(bench, query).await;
            if newest_first {
                found.reverse();
            }
            assert_eq!(found, ids, "newest first: {newest_first}, limit {limit}");
        }
    }
    let wanted: Vec<EventId> = ids.iter().step_by(3).copied().collect();
    let query =
        EventQuery { limit: 2, event_type: Some("charge.refunded".to_owned()), ..EventQuery::default() };
    assert_eq!(all_events(bench, query).await, wanted);
    let by_provider = EventQuery { provider_id: Some("evt_7".to_owned()), ..EventQuery::default() };
    let page = bench.store.events(by_provider).await.unwrap();
    assert_eq!((page.rows.len(), page.rows[0].id, page.next), (1, ids[7], None));
}

async fn all_events(bench: &Bench, mut query: EventQuery) -> Vec<EventId> {
    let mut found = Vec::new();
    loop {
        let page = bench.store.events(query.clone()).await.unwrap();
        assert!(query.limit == 0 || page.rows.len() <= query.limit);
        assert!(page.next.is_none() || !page.rows.is_empty());
        found.extend(page.rows.iter().map(|event| event.id));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return found,
        }
    }
}

pub(super) async fn pages_of_deliveries_fit_together(bench: &Bench) {
    let mut ids: Vec<DeliveryId> = Vec::new();
    for number in 0..10 {
        let event = bench.routed(&number.to_string(), &["b", "a", "ab"]).await;
        ids.extend(["a", "ab", "b"].map(|handler| delivery_id(event, handler)));
    }
    let dead = DeliveryState::Dead {
        at: bench.now(),
        reason: DeadReason::Rejected { code: "no".to_owned(), message: String::new() },
    };
    for held in bench.lease("ab", 4).await.deliveries {
        bench.settle(&held, dead.clone()).await;
    }
    for (newest_first, limit) in [(false, 4), (true, 4), (false, 30), (true, 0)] {
        let query = DeliveryQuery { limit, newest_first, ..DeliveryQuery::default() };
        let mut found = all_deliveries(bench, query).await;
        if newest_first {
            found.reverse();
        }
        assert_eq!(found, ids, "newest first: {newest_first}, limit {limit}");
    }
    let state =
        |word: &str| DeliveryQuery { limit: 3, state: Some(word.to_owned()), ..DeliveryQuery::default() };
    assert_eq!(all_deliveries(bench, state("dead")).await.len(), 4);
    assert_eq!(all_deliveries(bench, state("pending")).await.len(), 26);
    assert_eq!(all_deliveries(bench, state("nonsense")).await.len(), 0);
    let of_event = DeliveryQuery { event: Some(ids[0].event), limit: 2, ..DeliveryQuery::default() };
    assert_eq!(all_deliveries(bench, of_event).await, ids[..3]);
    let of_handler = DeliveryQuery {
        handler: Some(HandlerName::new("a")),
        newest_first: true,
        ..DeliveryQuery::default()
    };
    assert_eq!(all_deliveries(bench, of_handler).await.len(), 10);
}

async fn all_deliveries(bench: &Bench, mut query: DeliveryQuery) -> Vec<DeliveryId> {
    let mut found = Vec::new();
    loop {
        let page = bench.store.deliveries(query.clone()).await.unwrap();
        found.extend(page.rows.into_iter().map(|delivery| delivery.id));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return found,
        }
    }
}

pub(super) async fn an_append_rings_for_route_and_a_route_for_dispatch(bench: &Bench) {
    let mut events = bench.store.wakes().on_events();
    let mut deliveries = bench.store.wakes().on_deliveries();
    let id = bench.append(envelope("a")).await.event();
    soon(events.changed()).await;
    assert!(!deliveries.has_changed().unwrap());
    bench.append(envelope("a")).await;
    bench.store.route(vec![(id, deliver(&["sumo"]))]).await.unwrap();
    soon(deliveries.changed()).await;
    assert!(!events.has_changed().unwrap(), "a duplicate is nothing to route");
    let held = bench.lease_one("sumo").await;
    bench.settle(&held, DeliveryState::Pending { due: bench.now() }).await;
    soon(deliveries.changed()).await;
    bench.lease_one("sumo").await;
    bench.store.take_back_leases().await.unwrap();
    soon(deliveries.changed()).await;
}

pub(super) async fn soon<T>(bell: impl Future<Output = Result<T, tokio::sync::watch::error::RecvError>>) {
    let rang = tokio::time::timeout(Duration::from_secs(10), bell).await;
    rang.expect("the bell rings").expect("the store lives");
}

pub(super) async fn a_closed_store_takes_no_more(bench: &Bench) {
    let id = bench.append(envelope("a")).await.event();
    assert_eq!(bench.store.health(), Health::Ready);
    bench.store.close().await.unwrap();
    bench.store.close().await.unwrap();
    assert_eq!(bench.store.health(), Health::Closed);
    assert!(matches!(bench.store.append(envelope("b")).await, Err(StoreError::Closed)));
    assert!(matches!(bench.store.event(id).await, Err(StoreError::Closed)));
    assert!(matches!(bench.store.take_back_leases().await, Err(StoreError::Closed)));
    assert!(matches!(bench.store.counts().await, Err(StoreError::Closed)));
}
