//! Routing: events → rules → deliveries.
//!
//! The store asks for the decision on each event before it stores it ([`Foresight`]), so that one commit makes both durable,
//! and whoever waits for the deliveries has them at once. What came while nobody could be asked (a large event, one that
//! came while the store was being read) carries the mark "to be routed": one loop, started by `app`, reads those, asks the
//! rules, and hands the verdicts back to the store, which makes the deliveries and takes the marks away in one atomic
//! write. A crash anywhere leaves the marks, and the round is done again with nothing doubled. Routing never talks to
//! dispatch: the store rings.

mod tally;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::model::event::Envelope;
use crate::model::ids::{EventId, SnapshotHash};
use crate::model::limits::{IDLE_POLL, ROUTE_BATCH_MAX};
use crate::model::verdict::{Decision, Verdict};
use crate::rules::RuleSet;
use crate::store::{Foresight, Store, StoreError};
pub use tally::{Matched, Tally};

/// The rules and the configuration that they stand in.
#[derive(Debug)]
pub struct RoutingTable {
    pub snapshot: SnapshotHash,
    pub rules: Arc<RuleSet>,
}

/// What decides, for the store as it takes an event, and for the loop.
#[derive(Debug)]
struct Router {
    tables: Arc<ArcSwap<RoutingTable>>,
    tally: Arc<Tally>,
}

impl Foresight for Router {
    fn decide(&self, envelope: &Envelope) -> Decision {
        self.tables.load().decide(envelope)
    }

    fn decided(&self, event: EventId, decision: &Decision) {
        tell(event, decision);
        self.tally.count(&decision.verdict);
    }
}

/// Routes until `shutdown`, each event by the table that stands in `tables` when it is asked for; what is then still marked
/// is routed after the next start.
pub async fn run(
    store: Arc<dyn Store>,
    tables: Arc<ArcSwap<RoutingTable>>,
    tally: Arc<Tally>,
    shutdown: CancellationToken,
) {
    let mut bell = store.wakes().on_events();
    let router = Arc::new(Router { tables, tally });
    store.foresee(Arc::clone(&router) as Arc<dyn Foresight>);
    while !shutdown.is_cancelled() {
        bell.borrow_and_update();
        match route_batch(&*store, &router).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => error!(%error, "routing waits: the store did not answer"),
        }
        tokio::select! {
            _ = bell.changed() => {}
            () = tokio::time::sleep(IDLE_POLL) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Routes up to [`ROUTE_BATCH_MAX`] events and says how many there were.
async fn route_batch(store: &dyn Store, router: &Router) -> Result<usize, StoreError> {
    let events = store.to_route(ROUTE_BATCH_MAX).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let decisions: Vec<(EventId, Decision)> =
        events.iter().map(|event| (event.id, router.decide(&event.envelope))).collect();
    store.route(decisions.clone()).await?;
    decisions.iter().for_each(|(id, decision)| router.decided(*id, decision));
    Ok(events.len())
}

impl RoutingTable {
    /// Where the event goes.
    pub fn decide(&self, envelope: &Envelope) -> Decision {
        let rules = &self.rules;
        let ruling = rules.decide(&envelope.source, envelope.livemode, envelope.received, &envelope.body);
        Decision { snapshot: self.snapshot.clone(), verdict: ruling.verdict, shadows: ruling.shadows }
    }
}

fn tell(event: EventId, decision: &Decision) {
    for rule in &decision.shadows {
        debug!(%event, %rule, "matched by a shadow rule: delivers nothing");
    }
    match &decision.verdict {
        Verdict::Deliver(assignments) => {
            for assignment in assignments {
                debug!(%event, handler = %assignment.handler, rule = %assignment.rule, "routed");
            }
        }
        Verdict::Unrouted { reason } => info!(%event, reason, "unrouted: kept, delivered to nobody"),
        Verdict::Dropped { rule, reason } => info!(%event, %rule, reason, "dropped by a rule: kept"),
    }
}
