//! Routes unrouted events again: the new decision takes the old one's place in the round that makes its deliveries.
//!
//! Whoever decides looks beside the writer, so the writer looks once more: what is not unrouted any more is left alone, and a
//! second call, or one after a crash, changes nothing.

use super::commands;
use super::deliveries::down;
use super::events::View;
use super::fault::Fault;
use super::keys;
use super::round::Round;
use crate::model::ids::EventId;
use crate::model::verdict::{Decision, Verdict};

/// Applies each decision whose event is unrouted, and that says otherwise. Says how many.
pub(super) fn route_unrouted(round: &mut Round, decisions: &[(EventId, Decision)]) -> Result<usize, Fault> {
    let mut routed = 0;
    for (id, decision) in decisions {
        let mark = keys::of_event(keys::UNROUTED, *id);
        let stays = matches!(decision.verdict, Verdict::Unrouted { .. });
        if stays || round.get(&mark)?.is_none() {
            continue;
        }
        round.remove(mark);
        down(&mut round.standing.totals.counts.unrouted);
        // The old decision may have had more chunks than the new one.
        round.remove_within(&keys::of_event(keys::DECISIONS, *id), usize::MAX)?;
        commands::decide(round, *id, decision)?;
        routed += 1;
    }
    Ok(routed)
}
