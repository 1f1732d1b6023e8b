//! Leasing, settling, and what happens to a lease whose holder is gone.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bench::{Bench, LEASE, delivery_id, settlement};
use crate::model::attempt::Outcome;
use crate::model::delivery::{DeadReason, DeliveryState, LeaseToken};
use crate::model::ids::{EventId, HandlerName};
use crate::store::{Counts, DeliveryQuery, LeaseRequest, Settled};

pub(super) async fn what_was_due_longest_goes_first(bench: &Bench) {
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(bench.routed(&number.to_string(), &["sumo"]).await);
        bench.clock.advance(Duration::from_millis(10));
    }
    // The first failed and is due again after all the others.
    let held = bench.lease_one("sumo").await;
    assert_eq!(held.delivery.id.event, ids[0]);
    assert_eq!(held.event.envelope.provider_id, "evt_0");
    bench.settle(&held, DeliveryState::Pending { due: bench.now() }).await;
    let order: Vec<EventId> =
        bench.lease("sumo", 10).await.deliveries.iter().map(|held| held.delivery.id.event).collect();
    assert_eq!(order, [ids[1], ids[2], ids[3], ids[4], ids[0]]);
}

pub(super) async fn a_lease_keeps_others_away_until_it_runs_out(bench: &Bench) {
    bench.routed("a", &["sumo"]).await;
    let first = bench.lease_one("sumo").await;
    assert_eq!(first.delivery.attempts, 1);
    let until = bench.now().plus(LEASE);
    assert_eq!(first.delivery.state, DeliveryState::Leased { until, token: first.token });
    let nothing = bench.lease("sumo", 10).await;
    assert!(nothing.deliveries.is_empty());
    assert_eq!(nothing.next_due, Some(until), "a lease that runs out is work again");
    bench.clock.advance(LEASE);
    let second = bench.lease_one("sumo").await;
    assert_eq!(second.delivery.attempts, 2);
    assert_ne!(second.token, first.token);
    let attempts = bench.store.attempts(first.delivery.id.clone()).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].number, &attempts[0].outcome), (1, &Outcome::Interrupted));
    assert_eq!(bench.counts().await, Counts { events: 1, leased: 1, ..Counts::default() });
}

pub(super) async fn a_settlement_after_the_lease_was_lost_changes_nothing(bench: &Bench) {
    let id = bench.routed("a", &["sumo"]).await;
    let first = bench.lease_one("sumo").await;
    bench.clock.advance(LEASE);
    let second = bench.lease_one("sumo").await;
    let done = DeliveryState::Delivered { at: bench.now() };
    assert_eq!(bench.settle(&first, done.clone()).await, Settled::LostLease);
    assert_eq!(bench.counts().await.leased, 1);
    assert_eq!(bench.settle(&second, done.clone()).await, Settled::Applied);
    assert_eq!(bench.settle(&second, done.clone()).await, Settled::LostLease, "once");
    let mut unknown = settlement(&second, done);
    unknown.delivery = delivery_id(id, "nobody");
    assert_eq!(bench.store.settle(unknown).await.unwrap(), Settled::LostLease);
    let numbers: Vec<u32> = bench
        .store
        .attempts(second.delivery.id)
        .await
        .unwrap()
        .iter()
        .map(|attempt| attempt.number)
        .collect();
    assert_eq!(numbers, [1, 2]);
}

pub(super) async fn each_settlement_moves_the_delivery(bench: &Bench) {
    let at = bench.now();
    let rejected = DeadReason::Rejected { code: "email_missing".to_owned(), message: "no e-mail".to_owned() };
    let spent = DeadReason::Spent { attempts: 1, last: "retry: later".to_owned() };
    let ends = [
        DeliveryState::Delivered { at },
        DeliveryState::Ignored { at },
        DeliveryState::Dead { at, reason: rejected },
        DeliveryState::Dead { at, reason: spent },
        DeliveryState::Cancelled { at },
        DeliveryState::Pending { due: at.plus(Duration::from_secs(5)) },
    ];
    for (number, end) in ends.iter().enumerate() {
        let id = bench.routed(&number.to_string(), &["sumo"]).await;
        let held = bench.lease_one("sumo").await;
        assert_eq!(bench.settle(&held, end.clone()).await, Settled::Applied);
        let query = DeliveryQuery { event: Some(id), ..DeliveryQuery::default() };
        let found = bench.store.deliveries(query).await.unwrap().rows;
        assert_eq!((&found[0].state, found[0].attempts), (end, 1));
        let attempts = bench.store.attempts(held.delivery.id.clone()).await.unwrap();
        assert_eq!(attempts, [settlement(&held, end.clone()).attempt]);
    }
    let want = Counts {
        events: 6,
        delivered: 1,
        ignored: 1,
        dead: 2,
        cancelled: 1,
        pending: 1,
        ..Counts::default()
    };
    assert_eq!(bench.counts().await, want);
    assert_eq!(bench.lease("sumo", 10).await.next_due, Some(at.plus(Duration::from_secs(5))));
}

pub(super) async fn a_retry_waits_until_it_is_due(bench: &Bench) {
    bench.routed("a", &["sumo"]).await;
    let held = bench.lease_one("sumo").await;
    let due = bench.now().plus(Duration::from_secs(60));
    bench.settle(&held, DeliveryState::Pending { due }).await;
    bench.clock.advance(Duration::from_millis(59_999));
    assert!(bench.lease("sumo", 10).await.deliveries.is_empty());
    bench.clock.advance(Duration::from_millis(1));
    let again = bench.lease_one("sumo").await;
    assert_eq!(again.delivery.attempts, 2);
    assert_eq!(bench.store.attempts(held.delivery.id).await.unwrap().len(), 1, "no attempt was interrupted");
}

pub(super) async fn next_due_tells_when_to_look_again(bench: &Bench) {
    assert_eq!(bench.lease("sumo", 10).await.next_due, None);
    for key in ["a", "b", "c"] {
        bench.routed(key, &["sumo"]).await;
    }
    let one = bench.lease("sumo", 2).await;
    assert_eq!((one.deliveries.len(), one.next_due), (2, Some(bench.now())));
    let none = bench.lease("sumo", 0).await;
    assert_eq!((none.deliveries.len(), none.next_due), (0, Some(bench.now())));
    let rest = bench.lease("sumo", 2).await;
    assert_eq!((rest.deliveries.len(), rest.next_due), (1, Some(bench.now().plus(LEASE))));
}

pub(super) async fn what_is_given_back_was_never_taken(bench: &Bench) {
    bench.routed("a", &["sumo"]).await;
    let held = bench.lease_one("sumo").await;
    let (id, token) = (held.delivery.id.clone(), held.token);
    let other = LeaseToken(token.0.wrapping_add(1));
    assert_eq!(bench.store.give_back(id.clone(), other).await.unwrap(), Settled::LostLease);
    assert_eq!(bench.lease("sumo", 1).await.deliveries.len(), 0, "another's word changes nothing");
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.store.give_back(id.clone(), token).await.unwrap(), Settled::Applied);
    let counts = bench.counts().await;
    assert_eq!((counts.pending, counts.leased), (1, 0));
    assert_eq!(bench.store.give_back(id.clone(), token).await.unwrap(), Settled::LostLease, "once");
    let again = bench.lease_one("sumo").await;
    assert_eq!((again.delivery.id.clone(), again.delivery.attempts), (id.clone(), 1));
    assert_eq!(bench.store.attempts(id).await.unwrap(), [], "there was no attempt");
    let done = DeliveryState::Delivered { at: bench.now() };
    assert_eq!(bench.settle(&held, done.clone()).await, Settled::LostLease);
    assert_eq!(bench.settle(&again, done).await, Settled::Applied);
}

pub(super) async fn what_is_under_way_is_never_leased_again(bench: &Bench) {
    for key in ["a", "b", "c"] {
        bench.routed(key, &["sumo", "other"]).await;
        bench.clock.advance(Duration::from_millis(1));
    }
    let held = bench.lease("sumo", 2).await.deliveries;
    let except: BTreeSet<EventId> = held.iter().map(|held| held.delivery.id.event).collect();
    // The clock jumps: both leases have run out for all that it can tell.
    bench.clock.advance(LEASE * 10);
    let request = |handler: &str, max| LeaseRequest {
        except: except.clone(),
        ..LeaseRequest::at_once(HandlerName::new(handler), max, LEASE)
    };
    let third = bench.store.lease(request("sumo", 1)).await.unwrap();
    assert_eq!(third.deliveries.len(), 1);
    assert!(!except.contains(&third.deliveries[0].delivery.id.event));
    assert_eq!(third.next_due, None, "what is excepted is not reported");
    let again = bench.store.lease(request("sumo", 9)).await.unwrap();
    assert_eq!((again.deliveries.len(), again.next_due), (0, Some(bench.now().plus(LEASE))));
    assert_eq!(bench.store.attempts(held[0].delivery.id.clone()).await.unwrap(), []);
    let done = DeliveryState::Delivered { at: bench.now() };
    assert_eq!(bench.settle(&held[0], done).await, Settled::Applied, "its lease was never taken away");
    // The exception is over with the attempt, and was this handler's alone.
    assert_eq!(bench.lease("sumo", 9).await.deliveries.len(), 1);
    assert_eq!(bench.lease("other", 9).await.deliveries.len(), 3);
}

pub(super) async fn handlers_never_see_each_others_deliveries(bench: &Bench) {
    bench.routed("a", &["sumo", "sumo2", "s"]).await;
    for handler in ["sumo", "sumo2", "s"] {
        let leased = bench.lease(handler, 10).await.deliveries;
        assert_eq!(leased.len(), 1);
        assert_eq!(leased[0].delivery.id.handler.as_str(), handler);
    }
    assert!(bench.lease("sum", 10).await.deliveries.is_empty());
}

pub(super) async fn a_lease_waits_for_what_becomes_due(bench: &Bench) {
    let cancel = CancellationToken::new();
    let (leased, event) = tokio::join!(bench.lease_patiently("sumo", &cancel), bench.routed("a", &["sumo"]));
    let [held] = leased.deliveries.try_into().unwrap();
    assert_eq!((held.delivery.id, held.delivery.attempts), (delivery_id(event, "sumo"), 1));
    assert_eq!(held.event.envelope.provider_id, "evt_a");
    assert_eq!(leased.next_due, None);
    assert_eq!(bench.counts().await, Counts { events: 1, leased: 1, ..Counts::default() });
    let again = bench.lease("sumo", 10).await;
    assert_eq!(again.next_due, Some(bench.now().plus(LEASE)), "it is held like any other");
}

pub(super) async fn a_lease_that_waits_hears_of_what_is_due_later(bench: &Bench) {
    bench.routed("a", &["sumo"]).await;
    let held = bench.lease_one("sumo").await;
    let due = bench.now().plus(Duration::from_secs(5));
    let cancel = CancellationToken::new();
    let settle = bench.settle(&held, DeliveryState::Pending { due });
    let (leased, _) = tokio::join!(bench.lease_patiently("sumo", &cancel), settle);
    assert_eq!((leased.deliveries.len(), leased.next_due), (0, Some(due)));
}

pub(super) async fn a_lease_waits_no_longer_than_it_may(bench: &Bench) {
    let cancel = CancellationToken::new();
    let at_once = LeaseRequest::at_once(HandlerName::new("sumo"), 10, LEASE);
    let wait_until = bench.now().plus(Duration::from_millis(1));
    let briefly = LeaseRequest { wait_until, ..at_once };
    assert!(bench.store.lease(briefly).await.unwrap().deliveries.is_empty());
    let (leased, ()) = tokio::join!(bench.lease_patiently("sumo", &cancel), async { cancel.cancel() });
    assert!(leased.deliveries.is_empty());
    bench.routed("a", &["sumo"]).await;
    assert_eq!(bench.lease("sumo", 10).await.deliveries.len(), 1, "nobody waits any more");
}

pub(super) async fn a_lease_does_not_wait_beyond_what_is_due_later(bench: &Bench) {
    bench.routed("a", &["sumo"]).await;
    let held = bench.lease_one("sumo").await;
    let due = bench.now().plus(Duration::from_millis(100));
    bench.settle(&held, DeliveryState::Pending { due }).await;
    let leased = bench.lease_patiently("sumo", &CancellationToken::new()).await;
    assert_eq!((leased.deliveries.len(), leased.next_due), (0, Some(due)));
}

pub(super) async fn who_has_deliveries_waiting_is_told_by_name(bench: &Bench) {
    assert_eq!(bench.store.waiting_by_handler().await.unwrap(), []);
    bench.routed("a", &["zoo", "sumo", "b"]).await;
    bench.routed("b", &["sumo", "b"]).await;
    bench.routed("c", &["sumo"]).await;
    bench.lease_one("sumo").await;
    let done = bench.lease_one("zoo").await;
    bench.settle(&done, DeliveryState::Delivered { at: bench.now() }).await;
    let later = bench.lease_one("b").await;
    let due = bench.now().plus(Duration::from_secs(3600));
    bench.settle(&later, DeliveryState::Pending { due }).await;
    let want = [(HandlerName::new("b"), 2), (HandlerName::new("sumo"), 3)];
    assert_eq!(bench.store.waiting_by_handler().await.unwrap(), want);
}

pub(super) async fn leases_of_a_dead_process_are_taken_back(bench: &Bench) {
    // More than one commit takes back.
    for number in 0..450 {
        bench.routed(&number.to_string(), &["sumo"]).await;
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        held.extend(bench.lease("sumo", 100).await.deliveries);
    }
    assert_eq!(held.len(), 400);
    bench.settle(&held[0], DeliveryState::Delivered { at: bench.now() }).await;
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.store.take_back_leases().await.unwrap(), 399);
    assert_eq!(bench.store.take_back_leases().await.unwrap(), 0);
    let lost = bench.settle(&held[1], DeliveryState::Delivered { at: bench.now() }).await;
    assert_eq!(lost, Settled::LostLease);
    let attempts = bench.store.attempts(held[1].delivery.id.clone()).await.unwrap();
    assert_eq!(attempts[0].outcome, Outcome::Interrupted);
    let want = Counts { events: 450, pending: 449, delivered: 1, ..Counts::default() };
    assert_eq!(bench.counts().await, want);
    let again = bench.lease("sumo", 256).await;
    assert_eq!(again.deliveries.len(), 256, "due at once");
}

pub(super) async fn two_workers_never_hold_one_delivery(bench: &Bench) {
    for number in 0..40 {
        bench.routed(&number.to_string(), &["sumo"]).await;
    }
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let store = bench.store.clone();
        workers.spawn(async move {
            let handler = HandlerName::new("sumo");
            let request = LeaseRequest::at_once(handler, 7, LEASE);
            store.lease(request).await.unwrap().deliveries
        });
    }
    let held = workers.join_all().await.concat();
    let apart: BTreeSet<_> = held.iter().map(|held| held.delivery.id.clone()).collect();
    assert_eq!((held.len(), apart.len()), (40, 40));
}
