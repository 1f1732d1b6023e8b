//! The mirror types of rows, frozen: what was written once must be read for ever.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct MetaV1 {
    pub(super) source: String,
    pub(super) idempotency_key: String,
    pub(super) provider_id: String,
    pub(super) event_type: String,
    pub(super) account: Option<String>,
    pub(super) livemode: Option<bool>,
    pub(super) content_type: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) received: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) enum VerdictV1 {
    Deliver(Vec<(String, String)>),
    Unrouted(String),
    Dropped(String, String),
}

#[derive(Serialize, Deserialize)]
pub(super) struct DeliveryV1 {
    pub(super) rule: String,
    pub(super) snapshot: String,
    pub(super) created: u64,
    pub(super) attempts: u32,
    pub(super) state: StateV1,
}

/// What stands in a delivery's row beside the delivery; behind it, since the second version.
#[derive(Serialize, Deserialize)]
pub(super) struct BesideV2 {
    pub(super) decides: bool,
    /// A row of table `a`, with its own version.
    pub(super) first: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
pub(super) enum StateV1 {
    Pending(u64),
    Leased(u64, u64),
    Delivered(u64),
    Ignored(u64),
    Dead(u64, ReasonV1),
    Cancelled(u64),
}

#[derive(Serialize, Deserialize)]
pub(super) enum ReasonV1 {
    Rejected(String, String),
    Spent(u32, String),
    Crashed(u32, String),
}

#[derive(Serialize, Deserialize)]
pub(super) struct AttemptV1 {
    pub(super) number: u32,
    pub(super) started: u64,
    pub(super) duration: Duration,
    pub(super) outcome: OutcomeV1,
    pub(super) log: Vec<String>,
}

pub(super) type DetailV1 = (String, String, Option<String>);

#[derive(Serialize, Deserialize)]
pub(super) enum OutcomeV1 {
    Done(DetailV1),
    Ignore(DetailV1),
    Retry(Option<Duration>, DetailV1),
    Reject(DetailV1),
    TimedOut(Duration),
    Crashed(String),
    Interrupted,
}
