//! Retention: what `[store] retain` no longer keeps is removed, in the background and without haste.
//!
//! One loop, started by `app`. Every few minutes it asks the store for one small batch after another, and waits between
//! two of them while events or deliveries move. Which events go is the store's to decide, in the same commit that removes
//! them. A run goes on where the one before ended; now and then one begins at the oldest event again, because what had to
//! stay then, a dead letter or an unfinished delivery, may have to go now. Nothing is remembered: after a crash or a stop
//! the next run goes on.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::model::clock::{Clock, UnixMillis};
use crate::model::ids::EventId;
use crate::model::limits::{RETAIN_EVERY, RETAIN_EVERY_MIN, RETAIN_FROM_OLDEST_EVERY, RETAIN_PAUSE};
use crate::model::retention::Retention;
use crate::store::{Store, StoreError};

/// Removes what is too old until `shutdown`.
pub async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    retention: Retention,
    shutdown: CancellationToken,
) {
    let mut sweeper = Sweeper::new(store, clock, retention);
    while pause(sweeper.every(), &shutdown).await {
        match sweeper.sweep(&shutdown).await {
            Ok(swept) => sweeper.tell(&swept),
            Err(error) => error!(%error, "retention waits: the store did not answer"),
        }
    }
}

/// What one run did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Swept {
    events: u64,
    keys: u64,
    oldest: Option<EventId>,
    /// Told only by a run that began at the oldest: the others do not see them.
    unreadable: Option<u64>,
}

/// Where the loop stands between two runs.
struct Sweeper {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    retention: Retention,
    bells: [watch::Receiver<u64>; 2],
    /// Where the run before ended.
    reached: Option<EventId>,
    /// When a run last began at the oldest event.
    from_oldest: Option<UnixMillis>,
    unreadable_told: u64,
}

impl Sweeper {
    fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, retention: Retention) -> Self {
        let bells = [store.wakes().on_events(), store.wakes().on_deliveries()];
        Self { store, clock, retention, bells, reached: None, from_oldest: None, unreadable_told: 0 }
    }

    /// The time between two runs: a tenth of the shortest that anything is kept, within bounds.
    fn every(&self) -> Duration {
        (self.retention.shortest() / 10).clamp(RETAIN_EVERY_MIN, RETAIN_EVERY)
    }

    /// The time between two runs that begin at the oldest event.
    fn whole_every(&self) -> Duration {
        (self.retention.shortest() / 100).clamp(self.every(), RETAIN_FROM_OLDEST_EVERY)
    }

    /// Asks for batches until there is no more, or until `shutdown`.
    async fn sweep(&mut self, shutdown: &CancellationToken) -> Result<Swept, StoreError> {
        let now = self.clock.now();
        let due = self.from_oldest.is_none_or(|began| now < began || now.since(began) >= self.whole_every());
        let mut swept = Swept::default();
        if due {
            self.reached = None;
            self.from_oldest = Some(now);
            swept.unreadable = Some(0);
        }
        loop {
            self.bells.iter_mut().for_each(|bell| drop(bell.borrow_and_update()));
            let pruned = self.store.prune(self.retention, self.reached).await?;
            self.reached = pruned.reached;
            swept.events += pruned.events;
            swept.keys += pruned.keys;
            swept.oldest = swept.oldest.or(pruned.oldest);
            if let Some(unreadable) = &mut swept.unreadable {
                *unreadable += pruned.unreadable;
            }
            // Rings that it caused itself there are none: removing something wakes nobody.
            let others = self.bells.iter().any(|bell| bell.has_changed().unwrap_or(false));
            let wait = if others { RETAIN_PAUSE } else { Duration::ZERO };
            if !pruned.more || !pause(wait, shutdown).await {
                return Ok(swept);
            }
        }
    }

    fn tell(&mut self, swept: &Swept) {
        if swept.events > 0 || swept.keys > 0 {
            let oldest = swept.oldest.map(received);
            info!(events = swept.events, keys = swept.keys, oldest, "removed what is no longer kept");
        }
        if let Some(unreadable) = swept.unreadable {
            if unreadable > self.unreadable_told {
                warn!(events = unreadable, "events that retention would remove cannot be read, and are kept");
            }
            self.unreadable_told = unreadable;
        }
    }
}

/// Waits, and says whether to go on.
async fn pause(wait: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => false,
        () = tokio::time::sleep(wait) => true,
    }
}

/// When an event was received, for the log.
fn received(id: EventId) -> String {
    let millis = i64::try_from(id.millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |at| format!("{at:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::ManualClock;
    use crate::model::event::Envelope;
    use crate::model::ids::{IdempotencyKey, RuleName, SnapshotHash, SourceName};
    use crate::model::verdict::{Decision, Verdict};
    use crate::store::memory::MemoryStore;

    const DAY: Duration = Duration::from_secs(86_400);

    fn bench(retention: Retention) -> (Arc<MemoryStore>, Arc<ManualClock>, Sweeper) {
        let clock = Arc::new(ManualClock::at(UnixMillis(1_800_000_000_000)));
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let sweeper = Sweeper::new(store.clone(), clock.clone(), retention);
        (store, clock, sweeper)
    }

    async fn dropped(store: &MemoryStore, key: &str) -> EventId {
        let envelope = Envelope {
            source: SourceName::new("stripe"),
            idempotency_key: IdempotencyKey::new(key),
            provider_id: key.to_owned(),
            event_type: "t".to_owned(),
            account: None,
            livemode: None,
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            received: UnixMillis(0),
        };
        let id = store.append(envelope).await.unwrap().event();
        let verdict = Verdict::Dropped { rule: RuleName::new("r"), reason: String::new() };
        store
            .route(vec![(id, Decision { snapshot: SnapshotHash::new("s"), verdict, shadows: Vec::new() })])
            .await
            .unwrap();
        id
    }

    #[tokio::test]
    async fn a_run_removes_what_is_due_and_says_what_it_was() {
        let (store, clock, mut sweeper) = bench(Retention::default());
        let go_on = CancellationToken::new();
        let first = dropped(&store, "a").await;
        dropped(&store, "b").await;
        assert_eq!(sweeper.sweep(&go_on).await.unwrap(), Swept { unreadable: Some(0), ..Swept::default() });
        clock.advance(30 * DAY);
        let swept = sweeper.sweep(&go_on).await.unwrap();
        assert_eq!(swept, Swept { events: 2, keys: 0, oldest: Some(first), unreadable: Some(0) });
        clock.advance(5 * DAY);
        assert_eq!(sweeper.sweep(&go_on).await.unwrap().keys, 2);
        assert_eq!(received(first), "2027-01-15T08:00:00Z");
    }

    #[tokio::test]
    async fn most_runs_go_on_where_the_one_before_ended() {
        let (_, clock, mut sweeper) = bench(Retention::default());
        let go_on = CancellationToken::new();
        assert_eq!(sweeper.every(), RETAIN_EVERY);
        assert!(sweeper.sweep(&go_on).await.unwrap().unreadable.is_some(), "the first begins at the oldest");
        clock.advance(RETAIN_FROM_OLDEST_EVERY - Duration::from_millis(1));
        assert!(sweeper.sweep(&go_on).await.unwrap().unreadable.is_none());
        clock.advance(Duration::from_millis(1));
        assert!(sweeper.sweep(&go_on).await.unwrap().unreadable.is_some());
        let short = Retention { delivered: Duration::from_secs(1), ..Retention::default() };
        let (.., sweeper) = bench(short);
        assert_eq!((sweeper.every(), sweeper.whole_every()), (RETAIN_EVERY_MIN, RETAIN_EVERY_MIN));
    }

    #[tokio::test]
    async fn a_stop_ends_it_at_once() {
        let (store, clock, _) = bench(Retention::default());
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(store, clock, Retention::default(), stop.clone()));
        stop.cancel();
        running.await.unwrap();
    }
}
