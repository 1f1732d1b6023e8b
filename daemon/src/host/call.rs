//! One attempt: waits for a free worker and a living child, hands over the event, and waits for the outcome, the
//! deadline, or the child's death, whichever comes first.

use std::sync::Arc;
use std::time::Duration;

use hookyard_plugin_host::protocol::{Blob, Call as WireCall, ToChild};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep, timeout};

use super::child::{CallEnd, CallName, How};
use super::death::Cause;
use super::http::Trace;
use super::pool::{NoPlace, Place};
use super::report;
use super::shared::Shared;
use super::{Company, Report, inline};
use crate::model::attempt::Outcome;
use crate::model::clock::Stopwatch;
use crate::model::event::Event;
use crate::model::ids::{DeliveryId, RuleName};
use crate::model::limits::CANCEL_GRACE;
use crate::observe::with_causes;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) event: Arc<Event>,
    pub(super) attempt: u32,
    pub(super) rule: RuleName,
    pub(super) company: Company,
}

/// A call that a child holds.
struct Held {
    /// Freed when the call has ended.
    place: Place,
    id: u64,
    ended: oneshot::Receiver<CallEnd>,
}

/// What came of an attempt.
struct Came {
    outcome: Outcome,
    log: Vec<String>,
}

/// One attempt, never failing. `None` where the plugin was not asked.
pub(super) async fn call(shared: Arc<Shared>, job: Job) -> Option<Report> {
    let watch = Stopwatch::start();
    let _counted = shared.count_call();
    let name = CallName {
        delivery: DeliveryId { event: job.event.id, handler: shared.spec.handler.clone() },
        attempt: job.attempt,
        trace: Trace::of(&job.event),
    };
    // What dies inside the daemon takes the daemon with it: nobody could be spared.
    let company = if shared.is_inline() { Company::Others } else { job.company };
    let deadline = sleep(shared.spec.timeout);
    tokio::pin!(deadline);
    let held = tokio::select! {
        biased;
        held = hold(&shared, &name, company) => held,
        () = &mut deadline => Err(NoPlace::AllRest),
    };
    let came = match held {
        Ok(held) => {
            let remaining = shared.spec.timeout.saturating_sub(watch.elapsed());
            let message = ToChild::Call(wire_call(&job, held.id, remaining));
            wait(&shared, held, message, name.delivery, deadline).await
        }
        Err(NoPlace::Stopped) => Came { outcome: Outcome::Interrupted, log: Vec::new() },
        Err(NoPlace::AllRest) => return None,
    };
    let report = Report { outcome: came.outcome, log: came.log, duration: watch.elapsed() };
    shared.counters.call(&report);
    Some(report)
}

/// Waits for a place in a child that takes the call.
async fn hold(shared: &Shared, name: &CallName, company: Company) -> Result<Held, NoPlace> {
    loop {
        let place = shared.pool.place(company).await?;
        // A child that just closed takes no more; the pool knows the next one.
        if let Some((id, ended)) = place.child.begin(name.clone()) {
            return Ok(Held { place, id, ended });
        }
    }
}

async fn wait(
    shared: &Shared,
    held: Held,
    message: ToChild,
    delivery: DeliveryId,
    deadline: std::pin::Pin<&mut Sleep>,
) -> Came {
    let limit = shared.spec.timeout;
    let Held { mut place, id, ended } = held;
    let child = Arc::clone(&place.child);
    let handed = async {
        match child.send(message).await {
            Ok(()) => ended.await.unwrap_or_else(|_| unwatched()),
            Err(error) => {
                // Nothing was sent, so nobody will end it.
                child.forget(id);
                let what = format!("the event could not be handed to the plugin: {}", with_causes(&error));
                CallEnd { how: How::Lost { what, hung: false }, log: Vec::new() }
            }
        }
    };
    tokio::pin!(handed);
    let (end, late) = tokio::select! {
        biased;
        end = &mut handed => (end, false),
        () = deadline => {
            child.cancel(id);
            match timeout(CANCEL_GRACE, &mut handed).await {
                Ok(end) => (end, true),
                Err(_) if shared.is_inline() => {
                    (inline::outlast(shared, &mut place, id, &delivery, handed.as_mut()).await, true)
                }
                Err(_) => {
                    child.end(Cause::Hung { delivery, limit });
                    // Ends when the process is dead: the next attempt must not meet this one.
                    (handed.await, true)
                }
            }
        }
    };
    came(shared, end, late)
}

fn came(shared: &Shared, end: CallEnd, late: bool) -> Came {
    let CallEnd { how, mut log } = end;
    let outcome = match how {
        How::Returned { outcome, detail } => {
            let read = report::read(outcome, detail);
            if read.breach {
                shared.count_breach(&read.outcome.message());
            }
            log.extend(read.left_out);
            read.outcome
        }
        How::Lost { hung: true, .. } if late => Outcome::TimedOut { limit: shared.spec.timeout },
        How::Lost { .. } if shared.is_stopped() => Outcome::Interrupted,
        How::Lost { what, .. } => Outcome::Crashed { what },
    };
    Came { outcome, log }
}

fn unwatched() -> CallEnd {
    let what = "the daemon's own task for the plugin host ended".to_owned();
    CallEnd { how: How::Lost { what, hung: false }, log: Vec::new() }
}

fn wire_call(job: &Job, id: u64, remaining: Duration) -> WireCall {
    let envelope = &job.event.envelope;
    WireCall {
        call: id,
        remaining_ms: u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX),
        attempt: job.attempt,
        received_unix_ms: envelope.received.0,
        event_id: job.event.id.to_string(),
        source: envelope.source.as_str().to_owned(),
        event_type: envelope.event_type.clone(),
        rule: job.rule.as_str().to_owned(),
        content_type: envelope.content_type.clone(),
        headers: envelope.headers.clone(),
        body: Blob(envelope.body.to_vec()),
    }
}
