//! Events that are stored with what is decided on them.

use std::sync::{Arc, Mutex};

use super::bench::{Bench, body, deliver, delivery_id, envelope, with_body};
use crate::model::delivery::DeliveryState;
use crate::model::event::Envelope;
use crate::model::ids::EventId;
use crate::model::limits::COMMIT_BYTES_MAX;
use crate::model::verdict::{Decision, Verdict};
use crate::store::{Counts, Foresight};

/// Sends every event to one handler, except those that it drops; remembers what was done.
#[derive(Debug, Default)]
pub(crate) struct Seer {
    decided: Mutex<Vec<(EventId, Decision)>>,
}

impl Foresight for Seer {
    fn decide(&self, envelope: &Envelope) -> Decision {
        let mut decision = deliver(&["sumo"]);
        if envelope.provider_id == "evt_unwanted" {
            decision.verdict = Verdict::Unrouted { reason: "unwanted".to_owned() };
        }
        decision
    }

    fn decided(&self, event: EventId, decision: &Decision) {
        self.decided.lock().unwrap().push((event, decision.clone()));
    }
}

pub(super) async fn what_is_foreseen_is_done_with_the_event(bench: &Bench) {
    let seer = Arc::new(Seer::default());
    bench.store.foresee(seer.clone());
    let id = bench.append(envelope("a")).await.event();
    let unwanted = bench.append(envelope("unwanted")).await.event();
    bench.append(envelope("a")).await;
    assert!(bench.store.to_route(9).await.unwrap().is_empty());
    let counts = Counts { events: 2, pending: 1, unrouted: 1, ..Counts::default() };
    assert_eq!(bench.counts().await, counts, "a duplicate is decided on once");
    let stored = seer.decided.lock().unwrap().clone();
    assert_eq!(stored.iter().map(|(event, _)| *event).collect::<Vec<_>>(), [id, unwanted]);
    for (event, decision) in stored {
        assert_eq!(bench.store.decision(event).await.unwrap(), Some(decision));
    }
    let held = bench.lease_one("sumo").await;
    assert_eq!(held.delivery.id, delivery_id(id, "sumo"));
    assert_eq!(held.event.envelope, envelope("a"));
    bench.settle(&held, DeliveryState::Delivered { at: bench.now() }).await;
    bench.store.route(vec![(id, deliver(&["other"]))]).await.unwrap();
    assert!(bench.lease("other", 1).await.deliveries.is_empty(), "it is routed, once and for all");
}

pub(super) async fn what_nobody_could_foresee_waits_to_be_routed(bench: &Bench) {
    let before = bench.append(envelope("before")).await.event();
    bench.store.foresee(Arc::new(Seer::default()));
    let large = bench.append(with_body("large", body(2 * COMMIT_BYTES_MAX))).await.event();
    let mut waiting: Vec<EventId> =
        bench.store.to_route(9).await.unwrap().iter().map(|event| event.id).collect();
    waiting.retain(|id| *id != large);
    assert_eq!(waiting, [before]);
    let decisions = vec![(before, deliver(&["sumo"])), (large, deliver(&["sumo"]))];
    bench.store.route(decisions).await.unwrap();
    let counts = Counts { events: 2, pending: 2, ..Counts::default() };
    assert_eq!(bench.counts().await, counts);
}
