//! One attempt at one delivery: wait for a worker, call, judge, settle.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Once, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::HandlerLoop;
use super::pace::{Pace, Place};
use crate::host::Company;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::clock::UnixMillis;
use crate::model::crashes::Crashes;
use crate::model::delivery::{Delivery, DeliveryState, LeaseToken};
use crate::model::ids::EventId;
use crate::model::limits::AHEAD_WAIT_MAX;
use crate::store::{LeasedDelivery, Settled, Settlement};

/// What the attempts of one handler share.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    /// As many as the handler works on at once.
    pub(super) calls: Arc<Semaphore>,
    pub(super) pace: Arc<Pace>,
    pub(super) shutdown: CancellationToken,
    /// Told once: where the store has failed, a hundred leases say the same.
    pub(super) not_given_back: Arc<Once>,
}

/// Makes the attempt and settles it. The permit goes once the settlement has a place of its own: a handler whose answers
/// cannot be stored is not called much faster than they can.
pub(super) async fn make(
    handler: HandlerLoop,
    leased: LeasedDelivery,
    worker: Worker,
    place: Place,
    under_way: UnderWay,
) {
    let LeasedDelivery { delivery, token, event } = leased;
    let Some(permit) = worker.begin().await else {
        give_back(&handler, &worker, &delivery, token).await;
        drop((place, under_way));
        return;
    };
    let crashes = handler.crashes(&delivery).await;
    let company = if crashes.is_suspect() { Company::Nobody } else { Company::Others };
    let started = handler.clock.now();
    let Some(report) = handler.attempts.attempt(&event, delivery.attempts, &delivery.rule, company).await
    else {
        give_back(&handler, &worker, &delivery, token).await;
        drop((permit, place, under_way));
        return;
    };
    worker.pace.called(report.duration, event.envelope.body.len());
    let now = handler.clock.now();
    let next = match crashes.too_many_with(&report.outcome, &report.log) {
        Some(reason) => DeliveryState::Dead { at: now, reason },
        None => delivery.after(&report.outcome, &handler.retry, spread(), now),
    };
    tell(&delivery, &report.outcome, &next, now);
    let attempt = Attempt {
        number: delivery.attempts,
        started,
        duration: report.duration,
        outcome: report.outcome,
        log: report.log,
    };
    let _settling = handler.settling.acquire().await;
    drop((permit, place));
    let settlement = Settlement { delivery: delivery.id.clone(), token, attempt, next };
    match handler.store.settle(settlement).await {
        Ok(Settled::Applied) => {}
        Ok(Settled::LostLease) => {
            warn!(delivery = %delivery.id, "the lease had run out before the answer came: it is not recorded");
        }
        Err(error) => {
            error!(delivery = %delivery.id, %error, "the outcome could not be stored: the delivery is made again");
        }
    }
    drop(under_way);
}

async fn give_back(handler: &HandlerLoop, worker: &Worker, delivery: &Delivery, token: LeaseToken) {
    if let Err(error) = handler.store.give_back(delivery.id.clone(), token).await {
        worker.not_given_back.call_once(|| {
            error!(delivery = %delivery.id, %error, "leases could not be given back: they run out by themselves");
        });
    }
}

impl HandlerLoop {
    /// How often the host died with this delivery. The first attempt has nothing before it.
    async fn crashes(&self, delivery: &Delivery) -> Crashes {
        if delivery.attempts <= 1 {
            return Crashes::default();
        }
        match self.store.attempts(delivery.id.clone()).await {
            Ok(attempts) => Crashes::in_a_row(&attempts),
            Err(error) => {
                warn!(delivery = %delivery.id, %error, "the attempts before cannot be read");
                Crashes::default()
            }
        }
    }
}

impl Worker {
    /// Waits for a worker that is free. `None` where there is none in time, or the loop is to end.
    async fn begin(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            permit = tokio::time::timeout(AHEAD_WAIT_MAX, Arc::clone(&self.calls).acquire_owned()) => {
                permit.ok()?.ok()
            }
        }
    }
}

/// Marks an event as under way for as long as it lives.
#[derive(Debug)]
pub(super) struct UnderWay {
    events: Arc<Mutex<BTreeSet<EventId>>>,
    event: EventId,
}

impl UnderWay {
    pub(super) fn begin(events: &Arc<Mutex<BTreeSet<EventId>>>, event: EventId) -> Self {
        events.lock().unwrap_or_else(PoisonError::into_inner).insert(event);
        Self { events: Arc::clone(events), event }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.event);
    }
}

fn tell(delivery: &Delivery, outcome: &Outcome, next: &DeliveryState, now: UnixMillis) {
    let (id, attempt, word) = (&delivery.id, delivery.attempts, outcome.word());
    match next {
        DeliveryState::Dead { reason, .. } => error!(delivery = %id, attempt, %reason, "dead letter"),
        DeliveryState::Pending { due } => {
            let again_in = due.since(now);
            warn!(delivery = %id, attempt, outcome = word, message = outcome.message(), ?again_in, "tried, to be retried");
        }
        DeliveryState::Ignored { .. } => {
            info!(delivery = %id, attempt, message = outcome.message(), "ignored by the handler");
        }
        DeliveryState::Delivered { .. } => debug!(delivery = %id, attempt, "delivered"),
        DeliveryState::Leased { .. } | DeliveryState::Cancelled { .. } => {}
    }
}

/// A number in `0.0..1.0` that spreads retries.
fn spread() -> f64 {
    fastrand::f64()
}
