//! Chunks of large events that a crash left half-written: the writer removes them before its first job.

use super::fault::Fault;
use super::keys;
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
    let prefix = keys::of_event(keys::EVENTS, id);
    let rows = round.scan(&prefix, &prefix, REMOVED_ROWS_MAX)?;
    if rows.len() < REMOVED_ROWS_MAX {
        tracing::warn!(event = %id, "removed an event that was never acknowledged: the store stopped while writing it");
        round.remove(mark);
    }
    rows.into_iter().for_each(|key| round.remove(key));
    Ok(true)
}
