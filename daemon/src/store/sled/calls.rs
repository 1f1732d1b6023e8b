//! How the trait's methods reach the writer and the rows, and how they are answered.
//!
//! A change goes to the writer as a job and is answered when it is on disk. A look goes to the blocking pool, for sled may
//! wait for the disk. Where the writer drops a job unanswered it is on its way out, and its last word is the answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::SledStore;
use super::events;
use super::fault::Fault;
use super::patience::Patience;
use super::round::Round;
use super::rows::Rows;
use super::writer::{Job, Reply};
use crate::model::attempt::{Attempt, Detail, Outcome};
use crate::model::delivery::{DeadReason, Delivery, DeliveryState, LeaseToken};
use crate::model::event::Event;
use crate::model::ids::EventId;
use crate::store::{Health, LeasedDelivery, Settlement, Store, StoreError};

/// Where a command's answer arrives.
pub(super) type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

impl SledStore {
    /// Runs a command in the writer; returns when what it changed is on disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        command: impl FnOnce(&mut Round) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.engine().await?;
        let (job, answer) = job(bytes, command);
        self.send(job).await?;
        self.answered(answer).await
    }

    /// Hands the writer a job, once there is room for it.
    pub(super) async fn send(&self, job: Job) -> Result<(), StoreError> {
        match self.jobs.send(job).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.shared.refusal().await),
        }
    }

    /// Waits for the writer's answer; not for ever, should it hang.
    pub(super) async fn answered<T>(&self, mut answer: Answer<T>) -> Result<T, StoreError> {
        loop {
            match tokio::time::timeout(self.shared.stall_max, &mut answer).await {
                Ok(Ok(result)) => return result,
                Ok(Err(_)) => return Err(self.shared.refusal().await),
                Err(_) => self.refuse_if_failed()?,
            }
        }
    }

    fn refuse_if_failed(&self) -> Result<(), StoreError> {
        match self.shared.health() {
            Health::Failed { why } => Err(StoreError::Failed { why }),
            Health::Ready | Health::Loading | Health::Full { .. } | Health::Closed => Ok(()),
        }
    }

    /// Runs a reader on the blocking pool.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        reader: impl FnOnce(&Rows) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let engine = self.shared.engine().await?;
        let found = tokio::task::spawn_blocking(move || reader(&engine.rows)).await;
        found.map_err(|error| read_panicked(&error))?.map_err(Fault::into_store_error)
    }

    /// Joins leased deliveries with their events. One whose event cannot be read becomes a dead letter, so that it
    /// neither stops its handler nor is forgotten.
    pub(super) async fn with_events(
        &self,
        taken: Vec<(Delivery, LeaseToken)>,
    ) -> Result<Vec<LeasedDelivery>, StoreError> {
        let recent: Vec<Option<Arc<Event>>> =
            taken.iter().map(|(delivery, _)| self.recent.get(delivery.id.event)).collect();
        let found: Vec<Result<Arc<Event>, String>> = if recent.iter().all(Option::is_some) {
            recent.into_iter().flatten().map(Ok).collect()
        } else {
            let ids: Vec<EventId> = taken.iter().map(|(delivery, _)| delivery.id.event).collect();
            self.read(move |rows| {
                let both = ids.into_iter().zip(recent);
                both.map(|(id, recent)| recent.map_or_else(|| event_or_why(rows, id), |event| Ok(Ok(event))))
                    .collect()
            })
            .await?
        };
        let mut leased = Vec::with_capacity(taken.len());
        for ((delivery, token), event) in taken.into_iter().zip(found) {
            match event {
                Ok(event) => leased.push(LeasedDelivery { delivery, token, event }),
                Err(why) => self.bury(&delivery, token, why).await?,
            }
        }
        Ok(leased)
    }

    async fn bury(&self, delivery: &Delivery, token: LeaseToken, why: String) -> Result<(), StoreError> {
        tracing::error!(delivery = %delivery.id, %why, "an event cannot be read; its delivery becomes a dead letter");
        let (now, code) = (self.clock.now(), "event_unreadable".to_owned());
        let detail = Detail { code: code.clone(), message: why.clone(), result: None };
        let attempt = Attempt {
            number: delivery.attempts,
            started: now,
            duration: Duration::ZERO,
            outcome: Outcome::Reject(detail),
            log: Vec::new(),
        };
        let next = DeliveryState::Dead { at: now, reason: DeadReason::Rejected { code, message: why } };
        self.settle(Settlement { delivery: delivery.id.clone(), token, attempt, next }).await?;
        Ok(())
    }
}

/// The event, or why it cannot be read; a failure of sled itself is passed on.
fn event_or_why(rows: &Rows, id: EventId) -> Result<Result<Arc<Event>, String>, Fault> {
    match events::read_event(rows, id, true) {
        Ok(found) => Ok(found.map(Arc::new).ok_or_else(|| "the event is missing".to_owned())),
        Err(Fault::Refused(why)) => Ok(Err(why.to_string())),
        Err(engine) => Err(engine),
    }
}

/// Wraps a command so that it answers once its round is on disk, and leaves no trace in the round where it is refused.
pub(super) fn job<T: Send + 'static>(
    bytes: usize,
    command: impl FnOnce(&mut Round) -> Result<T, Fault> + Send + 'static,
) -> (Job, Answer<T>) {
    let (answer, answered) = oneshot::channel();
    let work =
        Box::new(move |round: &mut Round, _: &mut Patience| Ok(Some(reply(answer, round.run(command)?))));
    (Job::Write { bytes, work }, answered)
}

/// Answers the caller, if it is still there.
pub(super) fn reply<T: Send + 'static>(answer: oneshot::Sender<T>, value: T) -> Reply {
    Box::new(move || {
        let _caller_left = answer.send(value);
    })
}

/// A reader panicked, or its runtime is gone.
pub(super) fn read_panicked(error: &tokio::task::JoinError) -> StoreError {
    StoreError::Failed { why: format!("a reader stopped: {error}") }
}
