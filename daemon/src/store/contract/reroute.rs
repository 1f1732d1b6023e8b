//! Unrouted events, routed again.

use super::bench::{Bench, decision, deliver, delivery_id, envelope};
use super::events::soon;
use crate::model::delivery::DeliveryState;
use crate::model::ids::{EventId, RuleName};
use crate::model::verdict::{Decision, Verdict};
use crate::store::{Counts, EventQuery, Routing, StoreError};

fn unrouted(reason: &str) -> Decision {
    decision(Verdict::Unrouted { reason: reason.to_owned() })
}

fn dropped() -> Decision {
    decision(Verdict::Dropped { rule: RuleName::new("noise"), reason: "asked to".to_owned() })
}

async fn unrouted_event(bench: &Bench, key: &str) -> EventId {
    let id = bench.append(envelope(key)).await.event();
    bench.store.route(vec![(id, unrouted("no rule took it"))]).await.unwrap();
    id
}

async fn listed(bench: &Bench, routing: Routing) -> Vec<EventId> {
    let query = EventQuery { routing: Some(routing), ..EventQuery::default() };
    bench.store.events(query).await.unwrap().rows.iter().map(|event| event.id).collect()
}

pub(super) async fn an_unrouted_event_is_routed_again_once(bench: &Bench) {
    let ids = [
        unrouted_event(bench, "a").await,
        unrouted_event(bench, "b").await,
        unrouted_event(bench, "c").await,
    ];
    let mut rings = bench.store.wakes().on_deliveries();
    rings.borrow_and_update();
    bench.clock.advance(std::time::Duration::from_secs(5));
    let again =
        vec![(ids[0], deliver(&["sumo", "direct"])), (ids[1], dropped()), (ids[2], unrouted("still"))];
    assert_eq!(bench.store.route_unrouted(again.clone()).await.unwrap(), 2);
    soon(rings.changed()).await;
    let want = Counts { events: 3, unrouted: 1, dropped: 1, pending: 2, ..Counts::default() };
    assert_eq!(bench.counts().await, want);
    assert_eq!(bench.store.decision(ids[0]).await.unwrap(), Some(deliver(&["sumo", "direct"])));
    assert_eq!(bench.store.decision(ids[2]).await.unwrap(), Some(unrouted("no rule took it")));
    assert_eq!(listed(bench, Routing::Unrouted).await, [ids[2]]);
    assert_eq!(listed(bench, Routing::Dropped).await, [ids[1]]);
    assert_eq!(listed(bench, Routing::Routed).await, [ids[0]]);
    // A second run, say after a crash before the answer, changes nothing.
    assert_eq!(bench.store.route_unrouted(again).await.unwrap(), 0);
    assert_eq!(bench.counts().await, want);
    let held = bench.lease_one("sumo").await;
    assert_eq!(held.delivery.id, delivery_id(ids[0], "sumo"));
    bench.settle(&held, DeliveryState::Delivered { at: bench.now() }).await;
    assert_eq!(bench.store.route_unrouted(vec![(ids[0], deliver(&["sumo"]))]).await.unwrap(), 0);
}

pub(super) async fn only_unrouted_events_are_routed_again(bench: &Bench) {
    let waiting = bench.append(envelope("waiting")).await.event();
    let routed = bench.routed("routed", &["sumo"]).await;
    let noise = bench.append(envelope("noise")).await.event();
    bench.store.route(vec![(noise, dropped())]).await.unwrap();
    let unknown = noise.next().unwrap();
    let before = bench.counts().await;
    let all = [waiting, routed, noise, unknown].map(|id| (id, deliver(&["other"])));
    assert_eq!(bench.store.route_unrouted(all.to_vec()).await.unwrap(), 0);
    assert_eq!(bench.counts().await, before);
    assert_eq!(bench.store.decision(waiting).await.unwrap(), None);
}

pub(super) async fn a_long_decision_is_replaced_whole(bench: &Bench) {
    let id = bench.append(envelope("a")).await.event();
    let names: Vec<String> = (0..300).map(|number| format!("{number:03}-{}", "h".repeat(60))).collect();
    let handlers: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.store.route(vec![(id, unrouted(&"why ".repeat(60)))]).await.unwrap();
    assert_eq!(bench.store.route_unrouted(vec![(id, deliver(&handlers))]).await.unwrap(), 1);
    assert_eq!(bench.store.decision(id).await.unwrap(), Some(deliver(&handlers)));
    let too_long = deliver(&[&"h".repeat(1000)]);
    let refused = bench.store.route_unrouted(vec![(id, too_long)]).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
}
