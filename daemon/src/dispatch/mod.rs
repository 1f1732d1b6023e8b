//! Dispatch: due deliveries → one attempt each → settled.
//!
//! One loop a handler, started by `app`, so that no handler waits for another; for a while two, where a reload changed the
//! handler (`lane.rs`). A loop leases as many due deliveries as the handler works on at once and a few ahead (`pace.rs`),
//! and runs each as a task: wait for a worker, call the host, turn the outcome into the next state, settle. What was not
//! begun when the loop is to end is given back. The next call may begin while the last one's outcome is on its way to disk;
//! how many of those there are is bounded too. While a handler's host is down nothing is leased for it, and what it was
//! not asked is given back: no attempt is spent. A delivery that the host died with is alone the next time. While a canary
//! runs, `canary` has two libraries under one loop. A crash between lease and settle costs one attempt:
//! [`Store::take_back_leases`] finds it at the next start. Where nothing is due the lease waits in the store: dispatch never
//! talks to routing.

mod attempt;
pub mod canary;
mod lane;
mod pace;
pub mod services;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Once};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use attempt::{UnderWay, Worker};
pub use lane::Lane;
use pace::Pace;

use crate::host::{Company, Host, Report};
use crate::model::clock::{Clock, UnixMillis};
use crate::model::event::Event;
use crate::model::ids::{HandlerName, RuleName};
use crate::model::limits::{AHEAD_WAIT_MAX, CALL_GRACE_MAX, IDLE_POLL};
use crate::model::retry::RetrySchedule;
use crate::store::{LeaseRequest, Leased, Store, StoreError};

/// What a lease leaves for storing the outcome, after the call has ended at its latest.
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// Whatever makes one attempt. The host in production, a script in tests.
#[async_trait]
pub trait Attempts: Send + Sync + fmt::Debug + 'static {
    /// Waits until attempts can be made. Deliveries stay in the store until then.
    async fn ready(&self);

    /// Makes one attempt. Never fails: whatever went wrong is the outcome. `None` where nothing was begun.
    async fn attempt(
        &self,
        event: &Arc<Event>,
        attempt: u32,
        rule: &RuleName,
        company: Company,
    ) -> Option<Report>;
}

#[async_trait]
impl Attempts for Host {
    async fn ready(&self) {
        Self::ready(self).await;
    }

    async fn attempt(
        &self,
        event: &Arc<Event>,
        attempt: u32,
        rule: &RuleName,
        company: Company,
    ) -> Option<Report> {
        self.call(event, attempt, rule, company).await
    }
}

/// One handler, as dispatch sees it.
#[derive(Debug, Clone)]
pub struct HandlerLoop {
    pub name: HandlerName,
    pub attempts: Arc<dyn Attempts>,
    /// Shared with the loop before and after this one.
    pub lane: Lane,
    /// The deadline of one attempt.
    pub timeout: Duration,
    pub retry: RetrySchedule,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    /// Outcomes that may be on their way to disk at once.
    pub settling: Arc<Semaphore>,
}

impl HandlerLoop {
    /// Takes due deliveries until `shutdown`, then waits for the attempts under way.
    pub async fn run(self, shutdown: CancellationToken) {
        let worker = Worker {
            calls: Arc::clone(&self.lane.permits),
            pace: Pace::new(self.lane.width()),
            shutdown: shutdown.clone(),
            not_given_back: Arc::new(Once::new()),
        };
        let tasks = TaskTracker::new();
        let mut wait_until = UnixMillis(0);
        while let Some(asked) = shutdown.run_until_cancelled(self.room(&worker.pace)).await {
            let leased = match self.lease(asked, wait_until, &shutdown).await {
                Ok(leased) => leased,
                Err(error) => {
                    error!(handler = %self.name, %error, "dispatch waits: the store did not answer");
                    shutdown.run_until_cancelled(tokio::time::sleep(IDLE_POLL)).await;
                    continue;
                }
            };
            // What is there is taken first; then the store says when there is more.
            wait_until = if leased.deliveries.len() == asked {
                UnixMillis(0)
            } else {
                self.look_again(leased.next_due)
            };
            for delivery in leased.deliveries {
                let place = worker.pace.hold();
                let under_way = UnderWay::begin(&self.lane.under_way, delivery.event.id);
                tasks.spawn(attempt::make(self.clone(), delivery, worker.clone(), place, under_way));
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Waits until the handler takes deliveries, and says how many.
    async fn room(&self, pace: &Pace) -> usize {
        self.attempts.ready().await;
        pace.room().await
    }

    async fn lease(
        &self,
        max: usize,
        wait_until: UnixMillis,
        shutdown: &CancellationToken,
    ) -> Result<Leased, StoreError> {
        let lease = AHEAD_WAIT_MAX + self.timeout + CALL_GRACE_MAX + SETTLE_MAX;
        let except = self.lane.events_under_way();
        let (handler, cancel) = (self.name.clone(), shutdown.clone());
        self.store.lease(LeaseRequest { handler, max, lease, except, wait_until, cancel }).await
    }

    /// When the next delivery is due, but soon: which deliveries are under way is said anew with each lease.
    fn look_again(&self, next_due: Option<UnixMillis>) -> UnixMillis {
        let soon = self.clock.now().plus(IDLE_POLL);
        next_due.map_or(soon, |due| due.min(soon))
    }
}
