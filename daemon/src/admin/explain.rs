//! The JSON of an explanation: why each rule takes an event, or does not.

use serde::{Deserialize, Serialize};

/// `GET /v1/events/{id}/explain`, and what `hookyard explain` makes of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExplainView {
    /// The stored event; none for a file.
    pub event: Option<String>,
    pub source: String,
    /// The configuration whose rules were asked.
    pub snapshot: String,
    /// Why no rule was asked, where none was.
    pub obstacle: Option<String>,
    pub rules: Vec<RuleView>,
    /// What becomes of it: `to …`, `unrouted: …`, `dropped …`.
    pub routing: String,
    /// One delivery for each.
    pub deliveries: Vec<AssignmentView>,
    /// What was decided when it came; none for a file.
    pub decided: Option<String>,
}

/// One rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleView {
    pub rule: String,
    /// takes, copies, drops, no_match, too_late, disabled, other_source.
    pub outcome: String,
    pub handlers: Vec<String>,
    /// The reason of a rule that drops.
    pub drop: Option<String>,
    /// Why its condition does not hold; none where it does.
    pub first_failing: Option<ClauseView>,
    pub when: ClauseView,
}

/// A condition, or a part of one, with its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClauseView {
    pub text: String,
    pub holds: bool,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub found: Vec<FoundView>,
    /// How many more values there are than `found` shows.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub more: usize,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parts: Vec<ClauseView>,
}

/// A value that a test met.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FoundView {
    /// missing, null, bool, number, string, object, array.
    pub kind: String,
    pub text: String,
}

/// A delivery that would be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AssignmentView {
    pub handler: String,
    pub rule: String,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
