//! Keeps the child in one seat alive: starts it, and starts it again when it dies, when `circuit` says so.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::child::{Child, Outbox};
use super::death::Cause;
use super::drive::{Ended, Ready, drive};
use super::shared::Shared;
use super::{HostError, inline, process, wire};
use crate::model::limits::{HOST_DEATHS_MAX, HOST_DEATHS_WITHIN, HOST_OUTBOX_MAX, HOST_START_MAX};
use crate::observe::with_causes;

/// Where one child after another sits.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) shared: Arc<Shared>,
    number: usize,
}

/// A child that is ready, and the task that follows it.
#[derive(Debug)]
struct Running {
    child: Arc<Child>,
    driver: JoinHandle<Ended>,
}

/// Starts a child in each seat, and returns the task that watches them until the host is stopped or dropped. The first one
/// starts alone: what a plugin makes once, such as its tables, the others find made. Where one does not start, the host's
/// owner drops those that did.
pub(super) async fn start(shared: &Arc<Shared>) -> Result<JoinHandle<()>, HostError> {
    let mut seats =
        (0..shared.spec.processes.max(1)).map(|number| Seat { shared: Arc::clone(shared), number });
    if shared.is_inline() {
        let handler = &shared.spec.handler;
        tracing::warn!(%handler, "the plugin runs inside the daemon (isolation = \"inline\"): a crash of it ends the daemon");
    }
    let mut running = Vec::new();
    if let Some(first) = seats.next() {
        running.push((first.clone(), first.start().await?));
    }
    let mut starting: JoinSet<_> =
        seats.map(|seat| async move { (seat.clone(), seat.start().await) }).collect();
    while let Some(started) = starting.join_next().await {
        let (seat, started) = started.map_err(HostError::Task)?;
        running.push((seat, started?));
    }
    if shared.is_serial() {
        shared.pool.make_serial();
    }
    let mut supervisors = JoinSet::new();
    for (seat, running) in running {
        seat.up(&running.child);
        supervisors.spawn(seat.supervise(running));
    }
    let shared = Arc::clone(shared);
    Ok(tokio::spawn(async move {
        supervisors.join_all().await;
        // Whatever was being started ends too.
        shared.gone.cancel();
    }))
}

impl Seat {
    /// The child returned its first call.
    pub(super) fn answered(&self) {
        if self.shared.pool.answered(self.number) {
            tracing::info!(handler = %self.shared.spec.handler, "the plugin answers again: its circuit is closed");
        }
    }

    /// Starts a child and waits until its plugin is ready.
    async fn start(&self) -> Result<Running, HostError> {
        let shared = &self.shared;
        let (ready, is_ready) = oneshot::channel();
        let (child, driver) = match shared.is_inline() {
            false => self.begin(ready)?,
            true => {
                let (child, heard) = inline::begin(shared)?;
                let following = inline::follow(self.clone(), Arc::clone(&child), heard, ready);
                (child, tokio::spawn(following))
            }
        };
        match timeout(HOST_START_MAX, is_ready).await {
            Ok(Ok(Ok(facts))) => {
                // The same library says the same each time.
                shared.facts.get_or_init(|| facts);
                Ok(Running { child, driver })
            }
            Ok(Ok(Err(error))) => {
                child.end(Cause::Stopped);
                driver.await.map_err(HostError::Task)?;
                Err(error)
            }
            Ok(Err(_)) => {
                let ended = driver.await.map_err(HostError::Task)?;
                Err(if shared.gone.is_cancelled() {
                    HostError::Stopped
                } else {
                    HostError::Died { what: ended.what }
                })
            }
            Err(_) => {
                child.end(Cause::Dropped);
                driver.await.map_err(HostError::Task)?;
                let limit = HOST_START_MAX;
                Err(match shared.is_inline() {
                    false => HostError::Slow { limit },
                    true => HostError::SlowInside { limit },
                })
            }
        }
    }

    /// Begins a child's process, and follows it.
    fn begin(&self, ready: Ready) -> Result<(Arc<Child>, JoinHandle<Ended>), HostError> {
        let shared = &self.shared;
        let (process, socket) = process::spawn(&shared.program, &shared.spec.handler, &shared.library)
            .map_err(|source| HostError::Spawn { program: shared.program.path.clone(), source })?;
        let (reader, writer) = socket.into_split();
        let (outbox, frames) = mpsc::channel(HOST_OUTBOX_MAX);
        let child = Arc::new(Child::new(process.child.id(), Outbox::Process(outbox)));
        let writing = tokio::spawn(wire::write(writer, frames));
        let following = drive(self.clone(), Arc::clone(&child), process, reader, ready);
        let driver = tokio::spawn(async move {
            let ended = following.await;
            writing.abort();
            ended
        });
        Ok((child, driver))
    }

    /// Watches the child, and starts it again when it has ended, until the host is stopped or dropped.
    async fn supervise(self, first: Running) {
        let mut running = first;
        loop {
            self.follow(running).await;
            match self.start_again().await {
                Some(next) => running = next,
                None => break,
            }
        }
    }

    /// Waits for the child's end.
    async fn follow(&self, running: Running) {
        let shared = &self.shared;
        let Running { child, driver } = running;
        let what = match driver.await {
            Ok(ended) => {
                let Ended { what, cause, of } = ended;
                if matches!(cause, Cause::Itself | Cause::Breach(_) | Cause::Hung { .. }) {
                    shared.count_crash(&what);
                    shared.counters.death(of);
                    tracing::error!(handler = %shared.spec.handler, pid = child.pid, "{what}");
                }
                // A hang costs its own deadline each time: that is brake enough.
                if matches!(cause, Cause::Itself | Cause::Breach(_)) {
                    self.died();
                }
                if matches!(cause, Cause::Breach(_)) {
                    shared.count_breach(&what);
                }
                what
            }
            Err(error) => {
                let what = format!("the daemon's own task for the plugin host failed: {error}");
                tracing::error!(handler = %shared.spec.handler, "{what}");
                child.lost(&what, false);
                what
            }
        };
        self.down(&what);
    }

    /// Starts the child until it comes up, later each time. `None` where the host is stopped.
    async fn start_again(&self) -> Option<Running> {
        let shared = &self.shared;
        loop {
            tokio::select! {
                () = sleep(shared.pool.next_wait(self.number)) => {}
                () = shared.ended() => return None,
            }
            let started = tokio::select! {
                started = self.start() => started,
                () = shared.ended() => return None,
            };
            match started {
                Ok(running) => {
                    shared.restarts.fetch_add(1, Ordering::Relaxed);
                    self.up(&running.child);
                    return Some(running);
                }
                Err(error) => {
                    let why = with_causes(&error);
                    tracing::error!(handler = %shared.spec.handler, "the plugin did not start: {why}");
                    self.died();
                    self.down(&why);
                    if matches!(error, HostError::SlowInside { .. }) {
                        // Each try more would leave a thread more behind.
                        shared.ended().await;
                        return None;
                    }
                }
            }
        }
    }

    fn up(&self, child: &Arc<Child>) {
        let Shared { pool, spec, library, .. } = &*self.shared;
        pool.up(self.number, child);
        tracing::info!(handler = %spec.handler, pid = child.pid, sha256 = %library.sha256, "the plugin is up");
    }

    fn down(&self, why: &str) {
        let pool = &self.shared.pool;
        match pool.is_circuit_open(self.number) {
            true => pool.down(self.number, &format!("{}; the last: {why}", self.resting())),
            false => pool.down(self.number, why),
        }
    }

    /// The child died by itself, or did not start.
    fn died(&self) {
        let Shared { pool, spec, age, .. } = &*self.shared;
        if pool.died(self.number, age.elapsed()) {
            tracing::error!(handler = %spec.handler, "{}", self.resting());
        }
    }

    /// What an open circuit means.
    fn resting(&self) -> String {
        let others = match self.shared.spec.processes {
            ..=1 => "events wait",
            _ => "this process takes none; the others go on",
        };
        format!(
            "the plugin died more than {HOST_DEATHS_MAX} times within {HOST_DEATHS_WITHIN:?} and {others}"
        )
    }
}
