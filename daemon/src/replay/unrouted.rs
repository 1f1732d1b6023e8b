//! Unrouted events, routed by the rules that run now.

use crate::model::ids::EventId;
use crate::model::limits::ROUTE_BATCH_MAX;
use crate::route::{RoutingTable, Tally};
use crate::store::{EventQuery, Routing, Store, StoreError};

/// What one page of the replay did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Unrouted events that were looked at.
    pub looked: u64,
    /// Those that a rule took, now delivered or dropped.
    pub routed: u64,
    /// Pass as `after` for the next page; `None` at the end.
    pub next: Option<EventId>,
}

/// Routes one page of unrouted events, oldest first. Those that still no rule takes stay as they are. Idempotent: the store
/// leaves alone what is not unrouted any more.
///
/// # Errors
/// What the store says.
pub async fn page(
    store: &dyn Store,
    table: &RoutingTable,
    tally: &Tally,
    after: Option<EventId>,
) -> Result<Replayed, StoreError> {
    let query = EventQuery {
        limit: ROUTE_BATCH_MAX,
        after,
        bodies: true,
        routing: Some(Routing::Unrouted),
        ..EventQuery::default()
    };
    let page = store.events(query).await?;
    let decisions: Vec<_> = page.rows.iter().map(|event| (event.id, table.decide(&event.envelope))).collect();
    let looked = decisions.len() as u64;
    let verdicts: Vec<_> = decisions.iter().map(|(_, decision)| decision.verdict.clone()).collect();
    let routed = store.route_unrouted(decisions).await?;
    // Counted where all were: an event that somebody else routed meanwhile is counted by them.
    if routed > 0 {
        verdicts.iter().for_each(|verdict| tally.count_routed(verdict));
    }
    Ok(Replayed { looked, routed: routed as u64, next: page.next })
}
