//! A person's data, erased from what is finished.

use bytes::Bytes;

use super::bench::{Bench, body, with_body};
use crate::model::attempt::{Attempt, Detail, Outcome};
use crate::model::delivery::{DeadReason, DeliveryState};
use crate::model::ids::{DeliveryId, StepId};
use crate::store::{Erasure, StoreError};

fn erasure(body: &'static str) -> Erasure {
    Erasure {
        body: Bytes::from_static(body.as_bytes()),
        headers: vec![("x-hookyard-erased".to_owned(), "personal fields".to_owned())],
        attempts: Vec::new(),
        reasons: Vec::new(),
        memos: Vec::new(),
        even_unfinished: false,
    }
}

pub(super) async fn an_erased_event_has_another_body_and_is_the_same_event(bench: &Bench) {
    for size in [10, 5_000, 300_000] {
        let envelope = with_body(&format!("key-{size}"), body(size));
        let id = bench.append(envelope.clone()).await.event();
        bench.store.route(vec![(id, super::bench::deliver(&["sumo"]))]).await.unwrap();
        let held = bench.lease_one("sumo").await;
        bench.settle(&held, DeliveryState::Delivered { at: bench.now() }).await;
        let counts = bench.counts().await;
        assert!(bench.store.erase(id, erasure("{\"erased\":true}")).await.unwrap());
        let after = bench.store.event(id).await.unwrap().unwrap();
        assert_eq!(&after.envelope.body[..], b"{\"erased\":true}");
        assert_eq!(after.envelope.headers, erasure("").headers);
        assert_eq!(after.envelope.idempotency_key, envelope.idempotency_key);
        assert_eq!(after.envelope.provider_id, envelope.provider_id);
        assert_eq!(bench.counts().await, counts);
        assert_eq!(bench.append(envelope).await.event(), id, "the same request is the same event still");
        // Longer than before, and a second time.
        let longer = Erasure { body: body(20_000), ..erasure("") };
        assert!(bench.store.erase(id, longer).await.unwrap());
        assert_eq!(bench.store.event(id).await.unwrap().unwrap().envelope.body, body(20_000));
    }
    let too_large = Erasure { body: body(1024 * 1024), ..erasure("") };
    let id = bench.append(super::bench::envelope("large")).await.event();
    assert!(matches!(bench.store.erase(id, too_large).await, Err(StoreError::TooLarge { .. })));
    assert!(!bench.store.erase(id.next().unwrap(), erasure("{}")).await.unwrap(), "there is no such event");
}

pub(super) async fn what_is_not_finished_is_erased_only_on_request(bench: &Bench) {
    let id = bench.append(super::bench::envelope("a")).await.event();
    let forced = || Erasure { even_unfinished: true, ..erasure("{}") };
    assert!(!bench.store.erase(id, erasure("{}")).await.unwrap(), "it waits to be routed");
    bench.store.route(vec![(id, super::bench::deliver(&["sumo", "direct"]))]).await.unwrap();
    assert!(!bench.store.erase(id, erasure("{}")).await.unwrap(), "it waits for its handlers");
    let held = bench.lease_one("sumo").await;
    bench.settle(&held, DeliveryState::Delivered { at: bench.now() }).await;
    assert!(!bench.store.erase(id, erasure("{}")).await.unwrap(), "it waits for one of them");
    assert!(bench.store.erase(id, forced()).await.unwrap());
    let held = bench.lease_one("direct").await;
    assert_eq!(&held.event.envelope.body[..], b"{}", "the next attempt sees what is left");
    assert!(!bench.store.erase(id, erasure("{}")).await.unwrap(), "it is under way");
    bench.settle(&held, DeliveryState::Delivered { at: bench.now() }).await;
    assert!(bench.store.erase(id, erasure("{}")).await.unwrap());
}

pub(super) async fn attempts_and_reasons_are_erased_with_their_event(bench: &Bench) {
    let id = bench.routed("a", &["sumo"]).await;
    let held = bench.lease_one("sumo").await;
    bench.settle(&held, DeliveryState::Pending { due: bench.now() }).await;
    let held = bench.lease_one("sumo").await;
    let reason = |words: &str| DeadReason::Rejected { code: "no".to_owned(), message: words.to_owned() };
    bench.settle(&held, DeliveryState::Dead { at: bench.now(), reason: reason("ada@example.com") }).await;
    let delivery = DeliveryId { event: id, handler: held.delivery.id.handler.clone() };
    let before = bench.store.attempts(delivery.clone()).await.unwrap();
    assert_eq!(before.len(), 2);
    let detail =
        |words: String| Detail { code: String::new(), message: words, result: Some("{}".to_owned()) };
    // Once small and once large, whichever way they were kept before.
    for length in [5, 1500] {
        let without = |attempt: &Attempt| Attempt {
            outcome: Outcome::Reject(detail("x".repeat(length))),
            log: vec!["[redacted]".to_owned()],
            ..attempt.clone()
        };
        let attempts: Vec<Attempt> = before.iter().map(without).collect();
        let erasure = Erasure {
            attempts: attempts.iter().map(|attempt| (delivery.clone(), attempt.clone())).collect(),
            reasons: vec![(delivery.clone(), reason("[redacted]"))],
            ..erasure("{}")
        };
        assert!(bench.store.erase(id, erasure).await.unwrap());
        assert_eq!(bench.store.attempts(delivery.clone()).await.unwrap(), attempts);
    }
    let page = bench.store.deliveries(crate::store::DeliveryQuery::default()).await.unwrap();
    assert!(
        matches!(&page.rows[0].state, DeliveryState::Dead { reason: told, .. } if *told == reason("[redacted]"))
    );
    assert_eq!(bench.counts().await.dead, 1);
}

pub(super) async fn what_steps_remember_is_erased_with_their_event(bench: &Bench) {
    let id = bench.routed("a", &["sumo"]).await;
    let held = bench.lease_one("sumo").await;
    let delivery = held.delivery.id.clone();
    let step = |name: &str| StepId { delivery: delivery.clone(), step: name.into() };
    bench.store.step_end(step("mail"), b"to ada@example.com".to_vec()).await.unwrap();
    bench.store.step_begin(step("user")).await.unwrap();
    bench.settle(&held, DeliveryState::Delivered { at: bench.now() }).await;
    let memos = ["mail", "user", "never begun"].map(|name| (step(name), b"[redacted]".to_vec()));
    assert!(bench.store.erase(id, Erasure { memos: memos.into(), ..erasure("{}") }).await.unwrap());
    let steps = bench.store.steps(delivery, None).await.unwrap();
    let told: Vec<_> = steps.iter().map(|step| (&*step.id.step, step.memo.as_deref())).collect();
    assert_eq!(told, [("mail", Some(&b"[redacted]"[..])), ("user", None)], "only what was finished changes");
}
