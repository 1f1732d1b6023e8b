//! Retention: what goes, what stays, and that it goes in small batches.

use std::time::Duration;

use super::bench::{Bench, LEASE, body, decision, deliver, delivery_id, envelope, with_body};
use crate::model::delivery::{DeadReason, DeliveryState};
use crate::model::event::Appended;
use crate::model::ids::{EventId, PluginId, RuleName, StepId};
use crate::model::limits::PRUNE_EVENTS_MAX;
use crate::model::memory::{Expect, StepState};
use crate::model::retention::Retention;
use crate::model::verdict::Verdict;
use crate::store::{Counts, DeliveryQuery, EventQuery, Pruned};

const RETENTION: Retention = Retention {
    delivered: Duration::from_secs(100),
    dead: Duration::from_secs(1000),
    keys: Duration::from_secs(500),
};
const MILLISECOND: Duration = Duration::from_millis(1);

/// Calls until there is no more; the sums.
pub(super) async fn prune_all(bench: &Bench, retention: Retention) -> Pruned {
    let mut all = Pruned::default();
    let mut after = None;
    loop {
        let pruned = bench.store.prune(retention, after).await.unwrap();
        all.events += pruned.events;
        all.keys += pruned.keys;
        all.unreadable += pruned.unreadable;
        all.oldest = all.oldest.or(pruned.oldest);
        after = pruned.reached;
        if !pruned.more {
            return all;
        }
    }
}

async fn prune(bench: &Bench) -> (u64, u64) {
    let pruned = prune_all(bench, RETENTION).await;
    assert_eq!(pruned.unreadable, 0);
    (pruned.events, pruned.keys)
}

/// An event that one handler has brought into `state`.
async fn finished(bench: &Bench, key: &str, state: DeliveryState) -> EventId {
    let id = bench.routed(key, &["sumo"]).await;
    let held = bench.lease_one("sumo").await;
    bench.settle(&held, state).await;
    id
}

fn dead(bench: &Bench) -> DeliveryState {
    let reason = DeadReason::Spent { attempts: 1, last: "no".to_owned() };
    DeliveryState::Dead { at: bench.now(), reason }
}

pub(super) async fn what_is_finished_goes_after_its_time_and_not_before(bench: &Bench) {
    let at = bench.now();
    let states =
        [DeliveryState::Delivered { at }, DeliveryState::Ignored { at }, DeliveryState::Cancelled { at }];
    let mut ids = Vec::new();
    for (number, state) in states.into_iter().enumerate() {
        ids.push(finished(bench, &number.to_string(), state).await);
    }
    let dropped = bench.append(envelope("dropped")).await.event();
    let verdict = Verdict::Dropped { rule: RuleName::new("r"), reason: "noise".to_owned() };
    bench.clock.advance(MILLISECOND);
    bench.store.route(vec![(dropped, decision(verdict))]).await.unwrap();

    bench.clock.advance(RETENTION.delivered - 2 * MILLISECOND);
    assert_eq!(prune(bench).await, (0, 0));
    bench.clock.advance(MILLISECOND);
    assert_eq!(prune(bench).await, (3, 0));
    for id in ids {
        assert_eq!(bench.store.event(id).await.unwrap(), None);
    }
    assert_eq!(bench.counts().await, Counts { events: 1, dropped: 1, ..Counts::default() });
    bench.clock.advance(MILLISECOND);
    let last = bench.store.prune(RETENTION, None).await.unwrap();
    assert_eq!((last.events, last.oldest), (1, Some(dropped)));
    assert_eq!(bench.counts().await, Counts::default());
}

pub(super) async fn dead_letters_and_unrouted_events_stay_longer(bench: &Bench) {
    let letter = finished(bench, "letter", dead(bench)).await;
    let unrouted = bench.append(envelope("unrouted")).await.event();
    // It waits long for routing: its time begins when nobody took it.
    bench.clock.advance(RETENTION.delivered);
    let verdict = Verdict::Unrouted { reason: "no rule took it".to_owned() };
    bench.store.route(vec![(unrouted, decision(verdict))]).await.unwrap();
    assert_eq!(prune(bench).await, (0, 0));
    bench.clock.advance(RETENTION.dead - RETENTION.delivered - MILLISECOND);
    assert_eq!(prune(bench).await, (0, 0));
    bench.clock.advance(MILLISECOND);
    assert_eq!(prune(bench).await, (1, 1), "its key's time was up long ago");
    assert_eq!(bench.store.event(letter).await.unwrap(), None);
    assert_eq!(bench.counts().await, Counts { events: 1, unrouted: 1, ..Counts::default() });
    let query = DeliveryQuery { state: Some("dead".to_owned()), ..DeliveryQuery::default() };
    assert!(bench.store.deliveries(query).await.unwrap().rows.is_empty());
    bench.clock.advance(RETENTION.delivered);
    assert_eq!(prune(bench).await, (1, 1));
}

pub(super) async fn the_last_delivery_to_finish_counts(bench: &Bench) {
    let id = bench.routed("a", &["sumo", "direct"]).await;
    let (first, second) = (bench.lease_one("sumo").await, bench.lease_one("direct").await);
    bench.settle(&first, DeliveryState::Delivered { at: bench.now() }).await;
    bench.clock.advance(LEASE - MILLISECOND);
    bench.settle(&second, DeliveryState::Ignored { at: bench.now() }).await;
    bench.clock.advance(RETENTION.delivered - MILLISECOND);
    assert_eq!(prune(bench).await, (0, 0));
    bench.clock.advance(MILLISECOND);
    assert_eq!(prune(bench).await, (1, 0));
    assert_eq!(bench.store.event(id).await.unwrap(), None);

    // One dead letter among its deliveries keeps the whole event, and all of them.
    let id = bench.routed("b", &["sumo", "direct"]).await;
    let (first, second) = (bench.lease_one("sumo").await, bench.lease_one("direct").await);
    bench.settle(&first, dead(bench)).await;
    bench.settle(&second, DeliveryState::Delivered { at: bench.now() }).await;
    bench.clock.advance(RETENTION.dead - MILLISECOND);
    assert_eq!(prune(bench).await, (0, 1), "only the key of the first");
    let query = DeliveryQuery { event: Some(id), ..DeliveryQuery::default() };
    assert_eq!(bench.store.deliveries(query).await.unwrap().rows.len(), 2);
    bench.clock.advance(MILLISECOND);
    assert_eq!(prune(bench).await, (1, 1));
}

pub(super) async fn what_is_not_finished_never_goes(bench: &Bench) {
    let leased = bench.routed("leased", &["sumo"]).await;
    bench.lease_one("sumo").await;
    let waiting = bench.append(envelope("waiting")).await.event();
    let pending = bench.routed("pending", &["direct"]).await;
    let half = bench.routed("half", &["sumo", "direct"]).await;
    let held = bench.lease_one("sumo").await;
    assert_eq!(held.delivery.id.event, half);
    bench.settle(&held, DeliveryState::Delivered { at: bench.now() }).await;
    bench.clock.advance(RETENTION.dead * 100);
    assert_eq!(prune(bench).await, (0, 0));
    for id in [leased, waiting, pending, half] {
        assert!(bench.store.event(id).await.unwrap().is_some());
    }
    assert_eq!(bench.append(envelope("waiting")).await, Appended::Duplicate(waiting));
}

pub(super) async fn everything_of_an_event_goes_with_it(bench: &Bench) {
    let sent = with_body("a", body(9000));
    let id = bench.append(sent).await.event();
    bench.store.route(vec![(id, deliver(&["sumo", "direct"]))]).await.unwrap();
    let step = |name: &str| StepId { delivery: delivery_id(id, "sumo"), step: name.into() };
    for handler in ["sumo", "direct"] {
        let held = bench.lease_one(handler).await;
        bench.settle(&held, DeliveryState::Pending { due: bench.now() }).await;
        let held = bench.lease_one(handler).await;
        bench.settle(&held, DeliveryState::Delivered { at: bench.now() }).await;
    }
    for name in ["user", "mail"] {
        bench.store.step_begin(step(name)).await.unwrap();
        bench.store.step_end(step(name), b"memo".to_vec()).await.unwrap();
    }
    let plugin = PluginId::new("p");
    bench.store.kv_put(plugin.clone(), b"k".to_vec(), b"v".to_vec(), Expect::Absent).await.unwrap();

    bench.clock.advance(RETENTION.delivered);
    assert_eq!(prune(bench).await, (1, 0));
    assert_eq!(bench.store.decision(id).await.unwrap(), None);
    assert!(bench.store.deliveries(DeliveryQuery::default()).await.unwrap().rows.is_empty());
    assert!(bench.store.events(EventQuery::default()).await.unwrap().rows.is_empty());
    assert!(bench.store.attempts(delivery_id(id, "sumo")).await.unwrap().is_empty());
    assert_eq!(bench.store.step_begin(step("user")).await.unwrap(), StepState::Run, "forgotten");
    assert_eq!(bench.counts().await, Counts::default());
    let pair = bench.store.kv_get(plugin, b"k".to_vec()).await.unwrap().unwrap();
    assert_eq!(pair.value, b"v", "pairs belong to the plugin");
}

pub(super) async fn a_key_outlives_its_event_and_answers_duplicates(bench: &Bench) {
    let id = finished(bench, "a", DeliveryState::Delivered { at: bench.now() }).await;
    bench.clock.advance(RETENTION.delivered);
    assert_eq!(prune(bench).await, (1, 0));
    assert_eq!(bench.append(envelope("a")).await, Appended::Duplicate(id));
    assert_eq!(bench.append(with_body("a", body(300_000))).await, Appended::Duplicate(id));
    let mut other = envelope("a");
    other.source = crate::model::ids::SourceName::new("other");
    assert!(matches!(bench.append(other).await, Appended::New(_)));
    bench.clock.advance(RETENTION.keys - RETENTION.delivered - MILLISECOND);
    assert_eq!(prune(bench).await, (0, 0));
    assert_eq!(bench.append(envelope("a")).await, Appended::Duplicate(id));
    bench.clock.advance(MILLISECOND);
    assert_eq!(prune(bench).await, (0, 1));
    let Appended::New(again) = bench.append(envelope("a")).await else { panic!("its key is forgotten") };
    assert!(again > id);
    assert_eq!(bench.counts().await, Counts { events: 2, to_route: 2, ..Counts::default() });
}

pub(super) async fn a_key_never_goes_before_its_event(bench: &Bench) {
    let id = finished(bench, "a", dead(bench)).await;
    bench.clock.advance(RETENTION.dead - MILLISECOND);
    assert_eq!(prune(bench).await, (0, 0));
    assert_eq!(bench.append(envelope("a")).await, Appended::Duplicate(id));
    bench.clock.advance(MILLISECOND);
    assert_eq!(prune(bench).await, (1, 1));
    assert!(matches!(bench.append(envelope("a")).await, Appended::New(_)));
}

pub(super) async fn many_events_go_in_bounded_batches_that_can_be_taken_up(bench: &Bench) {
    let count = 3 * PRUNE_EVENTS_MAX + 7;
    for number in 0..count {
        let id = bench.append(envelope(&number.to_string())).await.event();
        // Every third one stays.
        let verdict = match number % 3 {
            0 => Verdict::Unrouted { reason: "no".to_owned() },
            _ => Verdict::Dropped { rule: RuleName::new("r"), reason: "noise".to_owned() },
        };
        bench.store.route(vec![(id, decision(verdict))]).await.unwrap();
    }
    bench.clock.advance(RETENTION.delivered);
    let going = (count - count.div_ceil(3)) as u64;
    let first = bench.store.prune(RETENTION, None).await.unwrap();
    let rest = prune_all(bench, RETENTION).await;
    assert_eq!(first.events + rest.events, going, "taken up from the beginning");
    if bench.sled.is_some() {
        assert_eq!((first.events, first.more), (PRUNE_EVENTS_MAX as u64, true));
    }
    assert_eq!(bench.counts().await.events, count as u64 - going);
    bench.clock.advance(RETENTION.keys - RETENTION.delivered);
    assert_eq!(prune(bench).await, (0, going));
}

pub(super) async fn a_large_event_goes_whole(bench: &Bench) {
    let small = bench.append(envelope("small")).await.event();
    let large = bench.append(with_body("large", body(9_000_000))).await.event();
    let behind = bench.append(envelope("behind")).await.event();
    let verdict = || Verdict::Dropped { rule: RuleName::new("r"), reason: "noise".to_owned() };
    let decisions = [small, large, behind].map(|id| (id, decision(verdict())));
    bench.store.route(decisions.to_vec()).await.unwrap();
    bench.clock.advance(RETENTION.delivered);
    if bench.sled.is_some() {
        let first = bench.store.prune(RETENTION, None).await.unwrap();
        assert_eq!((first.events, first.more), (2, true), "it takes more than one round");
        assert_eq!(bench.store.event(large).await.unwrap(), None, "and is gone with the first");
        assert_eq!(bench.append(with_body("large", body(9_000_000))).await, Appended::Duplicate(large));
        assert_eq!(prune(bench).await, (1, 0));
    } else {
        assert_eq!(prune(bench).await, (3, 0));
    }
    assert_eq!(bench.counts().await, Counts::default());
}

pub(super) async fn pruning_meets_work_under_way(bench: &Bench) {
    let retention =
        Retention { delivered: Duration::ZERO, dead: Duration::ZERO, keys: Duration::from_secs(500) };
    let pruning = async {
        let mut removed = 0;
        while removed < 100 {
            removed += prune_all(bench, retention).await.events;
            tokio::task::yield_now().await;
        }
        removed
    };
    let working = async {
        for number in 0..100 {
            bench.routed(&number.to_string(), &["sumo"]).await;
            let held = bench.lease_one("sumo").await;
            assert_eq!(bench.store.event(held.event.id).await.unwrap().as_ref(), Some(&*held.event));
            bench.settle(&held, DeliveryState::Delivered { at: bench.now() }).await;
        }
    };
    let (removed, ()) = tokio::join!(pruning, working);
    assert_eq!(removed, 100);
    assert_eq!(bench.counts().await, Counts::default());
}
