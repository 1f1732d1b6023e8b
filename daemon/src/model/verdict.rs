//! What routing decided about an event. Stored with it, so that a retry never routes anew.

use super::ids::{HandlerName, RuleName, SnapshotHash};

/// A verdict and the configuration that reached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub snapshot: SnapshotHash,
    pub verdict: Verdict,
    /// Rules with `shadow = true` that matched on the way. They deliver nothing.
    pub shadows: Vec<RuleName>,
}

/// Who gets the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// One delivery for each; a handler stands here once. Never empty.
    Deliver(Vec<Assignment>),
    /// No rule took it, and the default names no handler: kept, counted, shown.
    Unrouted { reason: String },
    /// A rule said `drop`: kept and counted, never delivered.
    Dropped { rule: RuleName, reason: String },
}

impl Verdict {
    /// The rules that took the event, each once, in file order.
    pub fn rules(&self) -> Vec<&RuleName> {
        match self {
            Self::Deliver(assignments) => {
                let mut rules: Vec<&RuleName> = assignments.iter().map(|one| &one.rule).collect();
                rules.dedup();
                rules
            }
            Self::Unrouted { .. } => Vec::new(),
            Self::Dropped { rule, .. } => vec![rule],
        }
    }
}

/// A handler and the rule that named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub handler: HandlerName,
    /// `default` where the mandatory default named it.
    pub rule: RuleName,
}
