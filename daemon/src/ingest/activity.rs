//! How busy a connection is, so that a silent one can be closed: HTTP/1.1 and HTTP/2 by one clock.
//!
//! hyper's own header timer restarts with each request and knows nothing of HTTP/2 or of the first bytes that tell the
//! versions apart; this one counts whole requests and so covers every way to be slow before a body.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// One connection's requests.
#[derive(Debug)]
pub(super) struct Activity(watch::Sender<Load>);

/// Held while a request is worked on.
#[derive(Debug)]
pub(super) struct Busy(watch::Sender<Load>);

#[derive(Debug, Clone, Copy, Default)]
struct Load {
    in_flight: usize,
    /// Whether there ever was a request.
    begun: bool,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Load::default()))
    }

    /// A request's head has arrived.
    pub(super) fn begin(&self) -> Busy {
        self.0.send_modify(|load| *load = Load { in_flight: load.in_flight + 1, begun: true });
        Busy(self.0.clone())
    }

    /// Whether there ever was a request.
    pub(super) fn was_used(&self) -> bool {
        self.0.borrow().begun
    }

    /// Returns once no request was in flight for `first` (before any came) or for `between` (after one); or, where one
    /// came and none is in flight, as soon as `wanted` turns true: others wait for this connection's place.
    pub(super) async fn quiet(&self, first: Duration, between: Duration, mut wanted: watch::Receiver<bool>) {
        let mut changes = self.0.subscribe();
        loop {
            let load = *changes.borrow_and_update();
            tokio::select! {
                // The sender is `self`: it cannot be gone.
                _ = changes.changed() => {}
                () = sleep(if load.begun { between } else { first }), if load.in_flight == 0 => return,
                _ = wanted.wait_for(|wanted| *wanted), if load.begun && load.in_flight == 0 => return,
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|load| load.in_flight -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Stopwatch;

    const SHORT: Duration = Duration::from_millis(30);
    /// Far beyond any test: returning at all proves that this was not waited for.
    const NEVER: Duration = Duration::from_secs(100_000);

    async fn quiet(activity: &Activity, first: Duration, between: Duration, wanted: bool) -> Duration {
        let watch = Stopwatch::start();
        activity.quiet(first, between, watch::Sender::new(wanted).subscribe()).await;
        watch.elapsed()
    }

    #[tokio::test]
    async fn a_silent_connection_has_the_header_timeout_though_others_wait() {
        assert!(quiet(&Activity::new(), SHORT, NEVER, true).await >= SHORT);
    }

    #[tokio::test]
    async fn a_used_connection_has_the_idle_timeout_after_its_last_request() {
        let activity = Activity::new();
        let busy = activity.begin();
        let (waited, ()) = tokio::join!(quiet(&activity, NEVER, SHORT, false), async {
            sleep(SHORT * 3).await;
            drop(busy);
        });
        assert!(waited >= SHORT * 4, "{waited:?}");
    }

    #[tokio::test]
    async fn an_idle_connection_gives_way_at_once_and_a_busy_one_when_it_is_done() {
        let activity = Activity::new();
        let busy = activity.begin();
        let (waited, ()) = tokio::join!(quiet(&activity, NEVER, NEVER, true), async {
            sleep(SHORT).await;
            drop(busy);
        });
        assert!(waited >= SHORT, "{waited:?}");
        quiet(&activity, NEVER, NEVER, true).await;
    }
}
