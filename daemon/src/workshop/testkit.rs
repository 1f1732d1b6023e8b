//! One plugin in a real host for the SDK's test kit (`HOOKYARD_TEST=process`): the kit says which event is delivered, where it
//! is to crash, and what it wants to see of the steps and pairs. `hookyard plugin testkit` hands it on; the words are the
//! kit's own ([`wire`](hookyard_plugin::testkit::wire)).
//!
//! The host takes attempts as the daemon's do: several at once, but never two at one event. A crash is a host of its own that is
//! killed, so nothing else runs meanwhile. Steps and pairs outlive hosts; nothing outlives this.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hookyard_plugin::testkit::{Before, Delivered, Said, StepSeen as Told, TestEvent};
use tokio::sync::{RwLock, RwLockReadGuard};

use super::memory::{Kept, Memory, StepSeen};
use super::rig::{NAME, Rig, Subject, attempt_by};
use super::trial::STOP_GRACE;
use super::unkind::{Unkind, Unkindness};
use crate::host::{Host, HostError, Report, Services};
use crate::model::attempt::Outcome;
use crate::model::clock::UnixMillis;
use crate::model::event::{Envelope, Event};
use crate::model::ids::{
    DeliveryId, EventId, HandlerName, IdempotencyKey, NotAnEventId, RuleName, SourceName, StepId,
};
use crate::model::memory::{KvValue, StepState};

/// Attempts at once: a handler's default.
const CONCURRENCY: usize = 8;
/// What an attempt has until a test asks for another time.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A plugin and what it keeps.
#[derive(Debug)]
pub struct Testkit {
    rig: Rig,
    memory: Arc<Memory>,
    running: RwLock<Option<Running>>,
    /// Held during an attempt at the event.
    events: Mutex<HashMap<EventId, Arc<tokio::sync::Mutex<()>>>>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Running {
    host: Host,
    timeout: Duration,
}

/// Why something could not be done that a test asked for.
#[derive(Debug, thiserror::Error)]
pub enum TestkitError {
    #[error(
        "{0}; in a process a test's events have such ids too: `hookyard_plugin::testkit::event_id` makes one of any text"
    )]
    Id(#[from] NotAnEventId),
    #[error(
        "an attempt without any time is never made in a process: give the event `remaining` of some milliseconds"
    )]
    NoTime,
    #[error("a temporary folder for the library cannot be made")]
    Folder(#[source] std::io::Error),
    /// The plugin's own sentence.
    #[error("{why}")]
    Refused { why: String },
    #[error(transparent)]
    Host(HostError),
}

impl From<HostError> for TestkitError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Settings { why } | HostError::Create { why } => Self::Refused { why },
            error => Self::Host(error),
        }
    }
}

impl Testkit {
    /// Starts a host of the plugin.
    pub async fn start(subject: Subject) -> Result<Self, TestkitError> {
        let testkit = Self {
            rig: Rig::new(subject).map_err(TestkitError::Folder)?,
            memory: Arc::default(),
            running: RwLock::default(),
            events: Mutex::default(),
            kept: Mutex::default(),
        };
        drop(testkit.host(TIMEOUT).await?);
        Ok(testkit)
    }

    /// One attempt, which is killed at this moment where one is given: 0 is before the first thing that the plugin asks of the
    /// store, 1 after that was done, and so on; the last is when the plugin has returned and nobody heard of it.
    pub async fn deliver(
        &self,
        asked: &TestEvent,
        crash_at: Option<usize>,
    ) -> Result<Delivered, TestkitError> {
        if asked.remaining.is_zero() {
            return Err(TestkitError::NoTime);
        }
        let event = event_of(asked)?;
        let turn = self.turn(event.id);
        let _turn = turn.lock().await;
        let report = match crash_at {
            None => Some(self.attempt(&event, asked).await?),
            Some(moment) => self.crash(&event, asked, moment).await?,
        };
        let seen = self.memory.take_seen(event.id);
        let steps = seen.iter().map(|seen| self.told(seen)).collect();
        Ok(delivered(report, steps))
    }

    /// Leaves a step begun and not ended.
    pub fn make_unsure(&self, event_id: &str, step: &str) -> Result<(), TestkitError> {
        let delivery = DeliveryId { event: event_id.parse()?, handler: HandlerName::new(NAME) };
        self.memory.make_unsure(StepId { delivery, step: step.into() });
        Ok(())
    }

    /// A key-value pair.
    pub fn pair(&self, key: &[u8]) -> Option<KvValue> {
        self.memory.pair(key)
    }

    /// Remembers the steps and pairs as they are now.
    pub fn keep(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = self.memory.kept();
    }

    /// Goes back to what was remembered.
    pub fn restore(&self) {
        self.memory.restore(&self.kept.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Ends the host in order.
    pub async fn stop(&self) {
        if let Some(running) = self.running.write().await.take() {
            running.host.stop(STOP_GRACE).await;
        }
    }

    async fn attempt(&self, event: &Event, asked: &TestEvent) -> Result<Report, HostError> {
        let host = self.host(asked.remaining).await?;
        Ok(attempt_by(&host, event, asked.attempt, &RuleName::new(&asked.rule)).await)
    }

    /// `None` where it was killed.
    async fn crash(
        &self,
        event: &Event,
        asked: &TestEvent,
        moment: usize,
    ) -> Result<Option<Report>, HostError> {
        let mut running = self.running.write().await;
        if let Some(running) = running.take() {
            running.host.stop(STOP_GRACE).await;
        }
        let how = if moment.is_multiple_of(2) { Unkindness::DiesBefore } else { Unkindness::DiesAfter };
        let unkind = Unkind::new(&self.memory, how, moment / 2);
        let rule = RuleName::new(&asked.rule);
        let report = self.rig.crash(&unkind, asked.remaining, event, asked.attempt, &rule).await?;
        let nobody_heard = unkind.asked() * 2 == moment;
        Ok(report.filter(|_| !nobody_heard))
    }

    /// The host, whose attempts may take so long; another one where the last had another limit, or was killed.
    async fn host(&self, timeout: Duration) -> Result<RwLockReadGuard<'_, Host>, HostError> {
        let of = |running: &Option<Running>| running.as_ref().is_some_and(|it| it.timeout == timeout);
        let mut running = self.running.read().await;
        if !of(&running) {
            drop(running);
            let mut exchanged = self.running.write().await;
            if !of(&exchanged) {
                if let Some(old) = exchanged.take() {
                    old.host.stop(STOP_GRACE).await;
                }
                let services: Arc<Memory> = Arc::clone(&self.memory);
                let host = self.rig.host(services, CONCURRENCY, timeout).await?;
                *exchanged = Some(Running { host, timeout });
            }
            running = exchanged.downgrade();
        }
        Ok(RwLockReadGuard::map(running, |it| &it.as_ref().expect("one was just seen or made").host))
    }

    fn turn(&self, event: EventId) -> Arc<tokio::sync::Mutex<()>> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(events.entry(event).or_default())
    }

    fn told(&self, seen: &StepSeen) -> Told {
        let before = match seen.before {
            StepState::Run => Before::Run,
            StepState::Done(_) => Before::Done,
            StepState::Unsure => Before::Unsure,
        };
        Told {
            name: seen.id.step.to_string(),
            before,
            ended: self.memory.is_ended(&seen.id),
            key: self.memory.step_key(&seen.id),
        }
    }
}

fn event_of(asked: &TestEvent) -> Result<Event, NotAnEventId> {
    Ok(Event {
        id: asked.id.parse()?,
        envelope: Envelope {
            source: SourceName::new(&asked.source),
            idempotency_key: IdempotencyKey::new(&asked.id),
            provider_id: asked.id.clone(),
            event_type: asked.event_type.clone(),
            account: None,
            livemode: None,
            content_type: asked.content_type.clone(),
            headers: asked.headers.clone(),
            body: Bytes::from(asked.body.clone()),
            received: UnixMillis(asked.received_unix_ms),
        },
    })
}

fn delivered(report: Option<Report>, steps: Vec<Told>) -> Delivered {
    let (outcome, log) = match report {
        Some(report) => (report.outcome, report.log),
        None => (Outcome::Crashed { what: String::new() }, Vec::new()),
    };
    let detail = outcome.detail();
    Delivered {
        outcome: said(&outcome),
        code: detail.map(|detail| detail.code.clone()).unwrap_or_default(),
        message: outcome.message(),
        result: detail.and_then(|detail| serde_json::from_str(detail.result.as_deref()?).ok()),
        steps,
        log,
    }
}

fn said(outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Done(_) => Said::Done,
        Outcome::Ignore(_) => Said::Ignore,
        Outcome::Retry { detail, .. } if detail.code == "panic" => Said::Panicked,
        Outcome::Retry { after, .. } => Said::Retry(*after),
        Outcome::Reject(_) => Said::Reject,
        Outcome::TimedOut { .. } => Said::TimedOut,
        Outcome::Crashed { .. } | Outcome::Interrupted => Said::Crashed,
    }
}
