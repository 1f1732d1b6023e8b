//! One attempt: waits for a free worker and a living child, hands over the event, and waits for the outcome, the
//! deadline, or the child's death, whichever comes first.

use std::sync::Arc;
use std::time::Duration;

use hookyard_plugin_host::protocol::{Blob, Call as WireCall, ToChild};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Sleep, sleep, timeout};

use super::child::{CallEnd, CallName, Child, How};
use super::death::Cause;
use super::http::Trace;
use super::report;
use super::supervise::{Shared, Slot};
use super::{Company, Report};
use crate::model::attempt::Outcome;
use crate::model::clock::Stopwatch;
use crate::model::event::Event;
use crate::model::ids::{DeliveryId, RuleName};
use crate::model::limits::CANCEL_GRACE;
use crate::observe::with_causes;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) event: Event,
    pub(super) attempt: u32,
    pub(super) rule: RuleName,
    pub(super) company: Company,
}

/// A call that a child holds.
struct Held {
    /// The worker; freed when the call has ended.
    _permit: OwnedSemaphorePermit,
    child: Arc<Child>,
    id: u64,
    ended: oneshot::Receiver<CallEnd>,
}

/// Why no child holds the call.
enum NotHeld {
    /// The plugin was not asked, and may be later.
    NotAsked,
    /// The host is stopped.
    Stopped,
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
    let deadline = sleep(shared.spec.timeout);
    tokio::pin!(deadline);
    let held = tokio::select! {
        biased;
        held = hold(&shared, &name, job.company) => held,
        () = &mut deadline => Err(NotHeld::NotAsked),
    };
    let came = match held {
        Ok(held) => {
            let remaining = shared.spec.timeout.saturating_sub(watch.elapsed());
            let message = ToChild::Call(wire_call(&job, held.id, remaining));
            wait(&shared, held, &message, name.delivery, deadline).await
        }
        Err(NotHeld::Stopped) => Came { outcome: Outcome::Interrupted, log: Vec::new() },
        Err(NotHeld::NotAsked) => return None,
    };
    let report = Report { outcome: came.outcome, log: came.log, duration: watch.elapsed() };
    shared.counters.call(&report);
    Some(report)
}

/// Waits for a worker (for all of them where the call is to be alone), then for a child that takes the call.
async fn hold(shared: &Shared, name: &CallName, mut company: Company) -> Result<Held, NotHeld> {
    let mut slot = shared.slot.subscribe();
    loop {
        if shared.is_circuit_open() {
            company = Company::Nobody;
        }
        let permit = shared.worker(company).await.ok_or(NotHeld::Stopped)?;
        let usable = slot.wait_for(|slot| match slot {
            Slot::Up(child) => child.is_open(),
            Slot::Down { .. } => shared.is_circuit_open(),
            Slot::Stopped => true,
        });
        let child = match usable.await.map(|slot| slot.clone()) {
            Ok(Slot::Up(child)) => child,
            Ok(Slot::Down { .. }) => return Err(NotHeld::NotAsked),
            Ok(Slot::Stopped) | Err(_) => return Err(NotHeld::Stopped),
        };
        if shared.is_circuit_open() && company == Company::Others {
            continue;
        }
        // A child that just closed is followed by another word in the slot.
        if let Some((id, ended)) = child.begin(name.clone()) {
            return Ok(Held { _permit: permit, child, id, ended });
        }
    }
}

async fn wait(
    shared: &Shared,
    held: Held,
    message: &ToChild,
    delivery: DeliveryId,
    deadline: std::pin::Pin<&mut Sleep>,
) -> Came {
    let limit = shared.spec.timeout;
    let Held { _permit, child, id, ended } = held;
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
                shared.count_breach();
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
