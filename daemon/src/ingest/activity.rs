//! How busy a connection is, so that a silent one can be closed: HTTP/1.1 and HTTP/2 by one clock.
//!
//! hyper's own header timer restarts with each request and knows nothing of HTTP/2 or of the first bytes that tell the
//! versions apart; this one counts whole requests and so covers every way to be slow before a body. It also says what the
//! connection's place is worth: while a request is worked on it is needed, in between it is offered to whoever waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::places::{Place, Rank};

/// One connection's requests, and its place.
#[derive(Debug)]
pub(super) struct Activity {
    load: watch::Sender<Load>,
    place: Place,
}

/// Held while a request is worked on.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

#[derive(Debug, Clone, Copy, Default)]
struct Load {
    in_flight: usize,
    /// Whether there ever was a request.
    begun: bool,
    /// Whether one was verified.
    proven: bool,
}

impl Activity {
    /// A connection that has only just come.
    pub(super) fn new(place: Place) -> Arc<Self> {
        place.offer(Rank::Newcomer);
        Arc::new(Self { load: watch::Sender::new(Load::default()), place })
    }

    /// A request's head has arrived.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.load.send_modify(|load| {
            *load = Load { in_flight: load.in_flight + 1, begun: true, proven: load.proven };
            self.place.keep();
        });
        Busy(Arc::clone(self))
    }

    /// Whether a request is worked on.
    pub(super) fn is_busy(&self) -> bool {
        self.load.borrow().in_flight > 0
    }

    /// Whether there ever was a request.
    pub(super) fn was_used(&self) -> bool {
        self.load.borrow().begun
    }

    /// Returns once no request was in flight for `first` (before any came) or for `between` (after one).
    pub(super) async fn quiet(&self, first: Duration, between: Duration) {
        let mut changes = self.load.subscribe();
        loop {
            let load = *changes.borrow_and_update();
            tokio::select! {
                // The sender is `self`: it cannot be gone.
                _ = changes.changed() => {}
                () = sleep(if load.begun { between } else { first }), if load.in_flight == 0 => return,
            }
        }
    }

    /// Returns when somebody else got this connection's place.
    pub(super) async fn lost(&self) {
        self.place.lost().await;
    }

    /// After `grace` a connection without a request is no newcomer any more. Never returns.
    pub(super) async fn age(&self, grace: Duration) {
        sleep(grace).await;
        if self.place.offered_as() == Some(Rank::Newcomer) {
            self.load.send_modify(|load| {
                if !load.begun {
                    self.place.offer(Rank::Stranger);
                }
            });
        }
        std::future::pending::<()>().await;
    }
}

impl Busy {
    /// The request was verified.
    pub(super) fn prove(&self) {
        self.0.load.send_modify(|load| load.proven = true);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Activity { load, place } = &*self.0;
        load.send_modify(|load| {
            load.in_flight -= 1;
            if load.in_flight == 0 {
                place.offer(if load.proven { Rank::Proven } else { Rank::Stranger });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::places::Places;
    use crate::model::clock::Stopwatch;

    const SHORT: Duration = Duration::from_millis(30);
    /// Far beyond any test: returning at all proves that this was not waited for.
    const NEVER: Duration = Duration::from_secs(100_000);

    fn activity(places: &Arc<Places>) -> Arc<Activity> {
        Activity::new(places.take().unwrap())
    }

    async fn quiet(activity: &Activity, first: Duration, between: Duration) -> Duration {
        let watch = Stopwatch::start();
        activity.quiet(first, between).await;
        watch.elapsed()
    }

    #[tokio::test]
    async fn a_silent_connection_has_the_header_timeout() {
        assert!(quiet(&activity(&Places::new(1)), SHORT, NEVER).await >= SHORT);
    }

    #[tokio::test]
    async fn a_used_connection_has_the_idle_timeout_after_its_last_request() {
        let activity = activity(&Places::new(1));
        let busy = activity.begin();
        let (waited, ()) = tokio::join!(quiet(&activity, NEVER, SHORT), async {
            sleep(SHORT * 3).await;
            drop(busy);
        });
        assert!(waited >= SHORT * 4, "{waited:?}");
    }

    #[tokio::test]
    async fn a_busy_connection_keeps_its_place_and_an_idle_one_gives_it_to_who_comes() {
        let places = Places::new(1);
        let first = activity(&places);
        let busy = first.begin();
        assert!(places.take().is_none());
        drop(busy);
        let _second = activity(&places);
        first.lost().await;
    }

    #[tokio::test]
    async fn one_that_was_verified_stays_longer_than_one_that_never_was() {
        let places = Places::new(3);
        let (refused, proven, aged) = (activity(&places), activity(&places), activity(&places));
        proven.begin().prove();
        drop(refused.begin());
        assert!(tokio::time::timeout(SHORT, aged.age(Duration::ZERO)).await.is_err(), "it never returns");
        for gone in [refused, aged, proven] {
            std::mem::forget(places.take().unwrap());
            gone.lost().await;
        }
        assert!(places.take().is_none());
    }

    #[tokio::test]
    async fn a_request_that_came_before_the_end_of_the_grace_is_not_aged() {
        let places = Places::new(1);
        let activity = activity(&places);
        let busy = activity.begin();
        assert!(tokio::time::timeout(SHORT, activity.age(Duration::ZERO)).await.is_err());
        assert!(places.take().is_none(), "it is still needed");
        drop(busy);
    }
}
