//! Decisions on their way to the writer: how many go in one commit.

use super::{MOVE_BYTES, SMALL_BYTES};
use crate::model::ids::EventId;
use crate::model::limits::{COMMIT_BYTES_MAX, COMMIT_COMMANDS_MAX};
use crate::model::verdict::{Decision, Verdict};
use crate::store::{StoreError, check};

type Batch = Vec<(EventId, Decision)>;

/// Decisions in commits of a bounded size, each with its bytes; refused where one is too large.
pub(super) fn batches(decisions: Batch) -> Result<Vec<(usize, Batch)>, StoreError> {
    let mut batches: Vec<(usize, Batch)> = Vec::new();
    for (id, decision) in decisions {
        check::decision(&decision)?;
        let more = decision_bytes(&decision);
        match batches.last_mut() {
            Some((bytes, batch))
                if *bytes + more <= COMMIT_BYTES_MAX / 2 && batch.len() < COMMIT_COMMANDS_MAX =>
            {
                *bytes += more;
                batch.push((id, decision));
            }
            _ => batches.push((more, vec![(id, decision)])),
        }
    }
    Ok(batches)
}

/// About what storing it writes.
pub(super) fn decision_bytes(decision: &Decision) -> usize {
    let shadows: usize = decision.shadows.iter().map(|rule| rule.as_str().len()).sum();
    let rest = match &decision.verdict {
        Verdict::Deliver(to) => to.len() * MOVE_BYTES / 2,
        Verdict::Unrouted { reason } | Verdict::Dropped { reason, .. } => reason.len(),
    };
    SMALL_BYTES / 2 + shadows + rest
}
