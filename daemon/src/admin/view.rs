//! The operator API's JSON shapes. Written by `admin`, read by `cli`; times are RFC 3339 with milliseconds, UTC.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::plugins::CanaryView;
use super::rules::MatchedView;
use crate::model::attempt::Attempt;
use crate::model::clock::UnixMillis;
use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::event::Event;
use crate::model::ids::HandlerName;
use crate::model::verdict::{Decision, Verdict};
use crate::store::{Counts, Health};

/// `GET /v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatusView {
    pub version: String,
    pub snapshot: String,
    /// A kept snapshot runs, and not what the files say.
    #[serde(default)]
    pub rolled_back: bool,
    /// The last reload, where it was refused.
    #[serde(default)]
    pub reload_refused: Option<RefusalView>,
    /// Why the daemon should be started again when it suits; absent where nothing asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_asked: Option<String>,
    /// Where the door listens.
    pub door: String,
    pub dev: bool,
    /// `ready`, or why not.
    pub store: String,
    /// How far the store is behind its journal.
    pub store_lag_bytes: u64,
    pub counts: CountsView,
    /// How often each rule took an event; where there are more than a thousand, of those that were quiet the longest.
    #[serde(default)]
    pub rules: Vec<MatchedView>,
    /// How many rules there are, the default among them.
    #[serde(default)]
    pub rules_total: usize,
    pub handlers: Vec<HandlerView>,
}

/// A reload that was refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusalView {
    pub at: String,
    pub why: String,
}

/// How many of what the store holds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct CountsView {
    pub events: u64,
    pub to_route: u64,
    pub unrouted: u64,
    pub dropped: u64,
    pub pending: u64,
    pub leased: u64,
    pub delivered: u64,
    pub ignored: u64,
    pub dead: u64,
    pub cancelled: u64,
}

/// One handler and its host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HandlerView {
    pub handler: String,
    /// The configured plugin.
    #[serde(default)]
    pub plugin: String,
    pub plugin_id: String,
    pub plugin_version: String,
    pub sha256: String,
    pub up: bool,
    /// Why it is not up; empty where it is.
    pub why_down: String,
    /// Of the first process that is up.
    pub pid: Option<u32>,
    /// One for each process that it is to have; none where it runs inside the daemon.
    #[serde(default)]
    pub processes: Vec<ProcessView>,
    /// `process`, or `inline`: it runs inside the daemon and shares its fate.
    #[serde(default)]
    pub isolation: String,
    pub in_flight: usize,
    /// Of these, and of what still finishes, calls inside the daemon that only its end ends.
    #[serde(default)]
    pub hanging: usize,
    pub restarts: u64,
    pub crashes: u64,
    /// Outcomes that are none, panics, breaches of the protocol.
    #[serde(default)]
    pub breaches: u64,
    #[serde(default)]
    pub abi: String,
    /// Of the plugin's processes together; 0 where there is none.
    #[serde(default)]
    pub resident_bytes: u64,
    #[serde(default)]
    pub cpu_seconds: f64,
    /// Calls by outcome, and processes by what they died of, since this host was started.
    #[serde(default)]
    pub outcomes: BTreeMap<String, u64>,
    #[serde(default)]
    pub deaths: BTreeMap<String, u64>,
    /// How long calls took: how many at most so many seconds, and all of them together.
    #[serde(default)]
    pub within_seconds: Vec<(f64, u64)>,
    #[serde(default)]
    pub took_seconds: f64,
    /// HTTP requests made for the plugin, by status or by why there was no answer; and how long they took.
    #[serde(default)]
    pub http: BTreeMap<String, u64>,
    #[serde(default)]
    pub http_within_seconds: Vec<(f64, u64)>,
    #[serde(default)]
    pub http_took_seconds: f64,
    /// Hosts from before a reload that still finish what they began.
    #[serde(default)]
    pub draining: usize,
    /// A library from before runs, and not the configured one.
    #[serde(default)]
    pub rolled_back: bool,
    /// Why, where a canary was rolled back by itself or by somebody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rolled_back_why: String,
    /// A new library that has a share beside this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryView>,
    /// Events wait: the plugin died too often in a short time.
    #[serde(default)]
    pub circuit_open: bool,
    /// Deliveries that are pending or under way.
    pub waiting: u64,
}

/// One of a handler's processes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ProcessView {
    pub pid: Option<u32>,
    pub up: bool,
    /// Why it is not up; empty where it is.
    pub why_down: String,
    pub in_flight: usize,
    /// It died too often in a short time, and is asked by one call at a time until one is answered.
    pub circuit_open: bool,
    pub resident_bytes: u64,
    pub cpu_seconds: f64,
}

/// A page of rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PageView<T> {
    pub rows: Vec<T>,
    /// Pass as `after` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// One event in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventView {
    pub event: String,
    pub source: String,
    pub provider_id: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub account: Option<String>,
    pub livemode: Option<bool>,
    pub received: String,
}

/// `GET /v1/events/{id}`: everything known of one event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventDetailView {
    #[serde(flatten)]
    pub event: EventView,
    pub body_bytes: usize,
    pub content_type: String,
    /// Which paths of the body were redacted; empty where it is as it was received.
    #[serde(default)]
    pub redacted: String,
    /// The SHA-256 of the body as it was received, where it is not as it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body_sha256: Option<String>,
    /// Whether personal fields were erased once it was stored.
    #[serde(default)]
    pub erased: bool,
    /// `waiting …`, `to …`, `unrouted: …`, `dropped …`.
    pub routing: String,
    /// The configuration that routed it.
    pub snapshot: Option<String>,
    pub deliveries: Vec<DeliveryView>,
    /// The body as received, where it was asked for (`?body=true`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<String>,
}

/// One delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryView {
    pub event: String,
    pub handler: String,
    pub rule: String,
    /// pending, leased, delivered, ignored, dead, cancelled.
    pub state: String,
    pub attempts: u32,
    /// When it is due, when its lease ends, or when it came to its end.
    pub at: String,
    /// Why it is dead; empty otherwise.
    pub reason: String,
    /// Each try, first to last; only where one event is shown.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tries: Vec<AttemptView>,
    /// Its steps, by name; only where one event is shown.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub steps: Vec<StepView>,
}

/// One step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepView {
    pub name: String,
    /// `done`; or `unsure`, begun and never ended: the next attempt asks the far side.
    pub state: String,
    /// What it remembers, if it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memo: Option<serde_json::Value>,
    /// Its idempotency key at the far side.
    pub key: String,
}

/// One attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptView {
    pub number: u32,
    pub started: String,
    pub duration_ms: u64,
    pub outcome: String,
    pub code: String,
    pub message: String,
    pub result: Option<serde_json::Value>,
    pub log: Vec<String>,
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        Self {
            events: counts.events,
            to_route: counts.to_route,
            unrouted: counts.unrouted,
            dropped: counts.dropped,
            pending: counts.pending,
            leased: counts.leased,
            delivered: counts.delivered,
            ignored: counts.ignored,
            dead: counts.dead,
            cancelled: counts.cancelled,
        }
    }
}

impl From<&Event> for EventView {
    fn from(event: &Event) -> Self {
        let envelope = &event.envelope;
        Self {
            event: event.id.to_string(),
            source: envelope.source.to_string(),
            provider_id: envelope.provider_id.clone(),
            event_type: envelope.event_type.clone(),
            account: envelope.account.clone(),
            livemode: envelope.livemode,
            received: time(envelope.received),
        }
    }
}

impl From<&Delivery> for DeliveryView {
    fn from(delivery: &Delivery) -> Self {
        let (at, reason) = match &delivery.state {
            DeliveryState::Pending { due: at } | DeliveryState::Leased { until: at, .. } => {
                (at, String::new())
            }
            DeliveryState::Delivered { at }
            | DeliveryState::Ignored { at }
            | DeliveryState::Cancelled { at } => (at, String::new()),
            DeliveryState::Dead { at, reason } => (at, reason.to_string()),
        };
        Self {
            event: delivery.id.event.to_string(),
            handler: delivery.id.handler.to_string(),
            rule: delivery.rule.to_string(),
            state: delivery.state.word().to_owned(),
            attempts: delivery.attempts,
            at: time(*at),
            reason,
            tries: Vec::new(),
            steps: Vec::new(),
        }
    }
}

/// What a step remembers: JSON where it is that, or text.
pub fn memo(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        let detail = attempt.outcome.detail();
        let result = detail.and_then(|detail| detail.result.as_deref());
        Self {
            number: attempt.number,
            started: time(attempt.started),
            duration_ms: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
            outcome: attempt.outcome.word().to_owned(),
            code: detail.map(|detail| detail.code.clone()).unwrap_or_default(),
            message: attempt.outcome.message(),
            // What is no JSON is shown as the text that it is.
            result: result.map(|text| serde_json::from_str(text).unwrap_or_else(|_| text.into())),
            log: attempt.log.clone(),
        }
    }
}

/// The handlers with what waits for each; one that the configuration does not name gets a row too, so that nothing that is
/// stored waits unseen.
pub fn with_waiting(mut handlers: Vec<HandlerView>, waiting: Vec<(HandlerName, u64)>) -> Vec<HandlerView> {
    for (name, count) in waiting {
        match handlers.iter_mut().find(|handler| handler.handler == name.as_str()) {
            Some(handler) => handler.waiting = count,
            None => handlers.push(HandlerView {
                handler: name.to_string(),
                why_down: format!("not in the configuration; {count} deliveries wait for it"),
                waiting: count,
                ..HandlerView::default()
            }),
        }
    }
    handlers
}

/// The routing of an event in words.
pub fn routing_words(decision: Option<&Decision>) -> String {
    let Some(decision) = decision else { return "waiting to be routed".to_owned() };
    let words = match &decision.verdict {
        Verdict::Deliver(assignments) => {
            let by: Vec<String> =
                assignments.iter().map(|a| format!("{} by rule \"{}\"", a.handler, a.rule)).collect();
            format!("to {}", by.join(", "))
        }
        Verdict::Unrouted { reason } => format!("unrouted: {reason}"),
        Verdict::Dropped { rule, reason } => format!("dropped by rule \"{rule}\": {reason}"),
    };
    let shadows: Vec<String> = decision.shadows.iter().map(|rule| format!("\"{rule}\"")).collect();
    match shadows.is_empty() {
        true => words,
        false => format!("{words}; shadow rules matched: {}", shadows.join(", ")),
    }
}

/// The store's health in words.
pub fn health_words(health: &Health) -> String {
    match health {
        Health::Ready => "ready".to_owned(),
        Health::Loading => {
            "loading: new events are taken; what is stored is still being read, and waits for that".to_owned()
        }
        Health::Full { free_bytes, .. } => {
            format!("refusing new events: only {free_bytes} bytes are free on its disk")
        }
        Health::Closed => "closed".to_owned(),
        Health::Failed { why } => format!("failed, restart needed: {why}"),
    }
}

/// RFC 3339 with milliseconds.
pub fn time(at: UnixMillis) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |at| format!("{at:.3}"))
}
