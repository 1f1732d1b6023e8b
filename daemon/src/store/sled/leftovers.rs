//! What a crash left of events half-written or half-removed: the writer removes it before its first job.

use super::fault::Fault;
use super::keys;
use super::prune::BULK;
use super::round::Round;

/// Rows removed in one commit.
const REMOVED_ROWS_MAX: usize = 1000;

/// Removes some rows of an event whose last commit never came. Says whether there may be more.
pub(super) fn remove_some(round: &mut Round) -> Result<bool, Fault> {
    let Some(mark) = round.scan(&[keys::STAGED], &[keys::STAGED], 1)?.pop() else { return Ok(false) };
    let Some(id) = keys::event_in(&mark) else {
        round.remove(mark);
        return Ok(true);
    };
    let mut left = REMOVED_ROWS_MAX;
    for table in BULK {
        left -= round.remove_within(&keys::of_event(table, id), left)?;
    }
    if left > 0 {
        tracing::warn!(event = %id, "removed what was left of an event: the store stopped before it was acknowledged, or while removing it");
        round.remove(mark);
    }
    Ok(true)
}
