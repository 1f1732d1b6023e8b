//! An event arrives: what can be known of it before its turn is worked out by its caller, beside the writer.
//!
//! Where somebody foresees what is decided on it (`route` does), the event, the decision, its deliveries and the leases that
//! wait for those are one commit. An event that takes several commits, or comes before sled is open, is stored with its mark,
//! to be routed later.

use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use super::SledStore;
use super::calls::{Answer, job};
use super::commands::{self, Prepared};
use super::decisions::decision_bytes;
use super::fault::Fault;
use super::round::Round;
use super::writer::Job;
use crate::model::event::{Appended, Envelope, Event};
use crate::model::ids::EventId;
use crate::model::limits::{COMMIT_BYTES_MAX, WRITER_QUEUE_MAX};
use crate::model::verdict::Decision;
use crate::store::{StoreError, check};

/// Stores the event, and what is foreseen of it.
pub(super) async fn append(store: &SledStore, envelope: Envelope) -> Result<Appended, StoreError> {
    check::envelope(&envelope)?;
    let prepared = Prepared::new(&envelope);
    let mut bytes = prepared.bytes();
    if bytes > COMMIT_BYTES_MAX {
        let (answer, answered) = oneshot::channel();
        return queued(store, Job::AppendLarge { event: Box::new(prepared), answer }, answered).await;
    }
    let foresight = store.foresight.load_full();
    let decision = foresight.as_ref().map(|foresight| foresight.decide(&envelope)).filter(fits);
    bytes += decision.as_ref().map_or(0, decision_bytes);
    let recent = Arc::clone(&store.recent);
    let (job, answered) = job(bytes, move |round| {
        let appended = commands::append(round, &prepared)?;
        let Appended::New(id) = appended else { return Ok((appended, None)) };
        recent.put(Event { id, envelope });
        let Some(decision) = decision else { return Ok((appended, None)) };
        let decided = (id, decision);
        let routed = route(round, &decided)?;
        Ok((appended, routed.then_some(decided)))
    });
    let (appended, routed) = queued(store, job, answered).await?;
    if let (Some(foresight), Some((id, decision))) = (foresight, routed) {
        foresight.decided(id, &decision);
    }
    Ok(appended)
}

/// The door must shed rather than wait: what queues here is held in memory.
async fn queued<T>(store: &SledStore, job: Job, answer: Answer<T>) -> Result<T, StoreError> {
    match store.jobs.try_send(job) {
        Ok(()) => store.answered(answer).await,
        Err(TrySendError::Full(_)) => Err(StoreError::Busy { waiting: WRITER_QUEUE_MAX }),
        Err(TrySendError::Closed(_)) => Err(store.shared.refusal().await),
    }
}

/// What cannot be stored beside the event is left to whoever routes it, and says so.
fn fits(decision: &Decision) -> bool {
    check::decision(decision).is_ok() && decision_bytes(decision) <= COMMIT_BYTES_MAX / 2
}

/// Routes an event that the round has just stored; says whether it did. Where it cannot be, the event stands all the same.
fn route(round: &mut Round, decided: &(EventId, Decision)) -> Result<bool, Fault> {
    if round.is_loading() {
        return Ok(false);
    }
    let routed = round.run(|round| commands::route(round, std::slice::from_ref(decided)))?;
    Ok(routed.is_ok())
}
