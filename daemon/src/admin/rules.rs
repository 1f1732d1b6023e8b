//! The counts of rules, and unrouted events that are routed again.

use std::sync::Arc;

use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::answer::{Failure, Pretty};
use super::pages::event_id;

/// How often one rule took an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchedView {
    /// `default` is what stands behind every rule.
    pub rule: String,
    /// Events that it took, copied or dropped.
    pub matched: u64,
    pub last_matched: Option<String>,
    /// Since when it is counted.
    pub counted_since: String,
    /// Whole days without a match, up to now.
    pub quiet_days: u64,
}

/// `POST /v1/events/replay?unrouted=true`: one page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplayView {
    /// Unrouted events that were looked at.
    pub looked: u64,
    /// Those that a rule took.
    pub routed: u64,
    /// Pass as `after` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// Which events to replay.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayQuery {
    unrouted: Option<bool>,
    after: Option<String>,
}

pub(super) async fn replay(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<ReplayQuery>,
) -> Result<Pretty<ReplayView>, Failure> {
    if query.unrouted != Some(true) {
        return Err(Failure::bad_request("say which events: unrouted=true"));
    }
    let after = query.after.as_deref().map(event_id).transpose()?;
    Ok(Pretty(admin.control.replay_unrouted(after).await?))
}
