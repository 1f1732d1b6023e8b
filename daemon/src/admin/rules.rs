//! The counts of rules, and unrouted events that are routed again.

use std::cmp::Reverse;
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

/// Rules that `/v1/status` tells of: a page that a person may read. `/v1/rules` has all.
pub const STATUS_RULES_MAX: usize = 1_000;

/// Those for `/v1/status`, in their order; where they are too many, those that were quiet the longest.
pub(super) fn for_status(mut rules: Vec<MatchedView>) -> Vec<MatchedView> {
    if rules.len() > STATUS_RULES_MAX {
        rules.sort_by_key(|rule| Reverse(rule.quiet_days));
        rules.truncate(STATUS_RULES_MAX);
    }
    rules
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_tells_of_those_that_were_quiet_the_longest() {
        let rule = |number: usize| MatchedView {
            rule: number.to_string(),
            matched: 0,
            last_matched: None,
            counted_since: String::new(),
            quiet_days: (number % 3) as u64,
        };
        let few: Vec<MatchedView> = (0..STATUS_RULES_MAX).map(rule).collect();
        assert_eq!(for_status(few.clone()), few);
        let told = for_status((0..3 * STATUS_RULES_MAX).map(rule).collect());
        assert_eq!(told.len(), STATUS_RULES_MAX);
        assert!(told.iter().all(|rule| rule.quiet_days == 2));
    }
}
