//! A dry run against history: its JSON, its words for a terminal, and the request for one.

use std::fmt::Write;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::answer::{Failure, Pretty};
use super::control::FileView;

/// `POST /v1/dry-run`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DryRunRequest {
    /// The candidate's files, the main one first.
    pub files: Vec<FileView>,
    /// `last=1000`, `last=30d`.
    pub against: String,
}

/// What a candidate would do otherwise than what runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DryRunView {
    /// Events that were routed by both.
    pub looked: u64,
    /// Those that would go elsewhere.
    pub changed: u64,
    /// From where to where, the most frequent first.
    pub ways: Vec<WayView>,
    /// Changed events of further ways.
    pub other_ways: u64,
    /// Rules that would take more events, or fewer.
    pub rules: Vec<RuleCountView>,
}

/// Events that would all go from one place to another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WayView {
    pub before: String,
    pub after: String,
    pub events: u64,
    pub examples: Vec<String>,
}

/// How many events a rule took, and would take.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleCountView {
    pub rule: String,
    pub before: u64,
    pub after: u64,
}

impl DryRunView {
    /// For a terminal.
    pub fn words(&self) -> String {
        let mut words = match self.changed {
            0 => format!("of {} events, none would go elsewhere", self.looked),
            changed => format!("of {} events, {changed} would go elsewhere:", self.looked),
        };
        for way in &self.ways {
            let WayView { before, after, events, examples } = way;
            // Writing to a string cannot fail.
            let _ = write!(
                words,
                "\n\n  {events} × {before}\n      now {after}\n      such as {}",
                examples.join(" ")
            );
        }
        if self.other_ways > 0 {
            let _ = write!(words, "\n\n  and {} in further ways", self.other_ways);
        }
        for RuleCountView { rule, before, after } in &self.rules {
            let _ = write!(words, "\n\n  rule \"{rule}\" would take {after} instead of {before}");
        }
        words
    }
}

pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    Json(request): Json<DryRunRequest>,
) -> Result<Pretty<DryRunView>, Failure> {
    Ok(Pretty(admin.control.dry_run(request).await?))
}
