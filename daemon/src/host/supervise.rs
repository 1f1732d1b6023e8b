//! Keeps a handler's child alive: starts it, and starts it again when it dies, when `circuit` says so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hookyard_plugin_host::protocol::Facts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::child::Child;
use super::circuit::Circuit;
use super::death::Cause;
use super::drive::{Ended, drive};
use super::figures::Counters;
use super::library::{self, Checked};
use super::start::start_frame;
use super::{Company, HostError, HostProgram, HostSpec, HostStatus, Services, account, http, process, wire};
use crate::model::clock::Stopwatch;
use crate::model::ids::PluginId;
use crate::model::limits::{HOST_DEATHS_MAX, HOST_DEATHS_WITHIN, HOST_OUTBOX_MAX, HOST_START_MAX};
use crate::observe::with_causes;

/// What the calls, the supervisor and the host's owner share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) spec: HostSpec,
    pub(super) services: Arc<dyn Services>,
    /// Makes the plugin's HTTP requests.
    pub(super) http: http::Client,
    /// Who takes calls now.
    pub(super) slot: watch::Sender<Slot>,
    /// The workers.
    permits: Arc<Semaphore>,
    workers: u16,
    /// The first message to a child.
    pub(super) start_frame: Vec<u8>,
    /// The host was dropped, or is stopped for good: its child is killed.
    pub(super) gone: CancellationToken,
    /// The host is being stopped: its child is not started again.
    stopping: CancellationToken,
    program: HostProgram,
    library: Checked,
    /// What the library says of itself, once it was loaded.
    facts: OnceLock<Facts>,
    in_flight: watch::Sender<usize>,
    pub(super) counters: Counters,
    circuit: Mutex<Circuit>,
    /// Since the host began.
    age: Stopwatch,
    restarts: AtomicU64,
    crashes: AtomicU64,
    breaches: AtomicU64,
}

/// Who takes calls.
#[derive(Debug, Clone)]
pub(super) enum Slot {
    Up(Arc<Child>),
    Down { why: Arc<str> },
    Stopped,
}

/// A child that is ready, and the task that follows it.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Arc<Child>,
    driver: JoinHandle<Ended>,
}

/// Counts a call while it lives.
#[derive(Debug)]
pub(super) struct Counted<'a>(&'a Shared);

impl Shared {
    /// Checks and caches the library; nothing of it runs yet.
    pub(super) async fn new(
        program: HostProgram,
        spec: HostSpec,
        services: Arc<dyn Services>,
    ) -> Result<Arc<Self>, HostError> {
        let (path, trust, cache) = (spec.library.clone(), spec.trust.clone(), spec.cache.clone());
        let account = spec.confine.as_ref().and_then(|confine| confine.user.clone());
        let loading = tokio::task::spawn_blocking(move || {
            let is_root = rustix::process::geteuid().is_root();
            let user = account.map(|account| account::look_up(&account, is_root)).transpose()?;
            library::load(&path, &trust, &cache).map(|library| (library, user))
        });
        let (library, user) = loading.await.map_err(HostError::Task)??;
        library.check_settings(&spec.settings_json)?;
        let workers = u16::try_from(spec.concurrency.max(1)).unwrap_or(u16::MAX);
        let start_frame = start_frame(&spec, &library, user, workers)?;
        Ok(Arc::new(Self {
            services,
            http: http::Client::new(&spec)?,
            slot: watch::Sender::new(Slot::Down { why: Arc::from("it is starting") }),
            permits: Arc::new(Semaphore::new(workers.into())),
            workers,
            start_frame,
            gone: CancellationToken::new(),
            stopping: CancellationToken::new(),
            program,
            library,
            facts: OnceLock::new(),
            in_flight: watch::Sender::new(0),
            counters: Counters::default(),
            circuit: Mutex::new(Circuit::new()),
            age: Stopwatch::start(),
            restarts: AtomicU64::new(0),
            crashes: AtomicU64::new(0),
            breaches: AtomicU64::new(0),
            spec,
        }))
    }

    /// The child takes calls from now on.
    pub(super) fn up(&self, child: &Arc<Child>) {
        self.set(Slot::Up(Arc::clone(child)));
        tracing::info!(handler = %self.spec.handler, pid = child.pid, sha256 = %self.library.sha256, "the plugin is up");
    }

    /// Whether the plugin takes one call at a time.
    pub(super) fn is_serial(&self) -> bool {
        self.facts.get().is_some_and(|facts| facts.serial)
    }

    /// A serial plugin has one worker, whatever the handler's concurrency.
    pub(super) fn make_serial(&self) {
        self.permits.forget_permits(self.permits.available_permits().saturating_sub(1));
    }

    /// Waits for a worker: one, or all of them for a call that is to be alone. `None` where the host is gone.
    pub(super) async fn worker(&self, company: Company) -> Option<OwnedSemaphorePermit> {
        let workers = match company {
            Company::Others => 1,
            Company::Nobody if self.is_serial() => 1,
            Company::Nobody => self.workers.into(),
        };
        Arc::clone(&self.permits).acquire_many_owned(workers).await.ok()
    }

    /// Waits until a child takes calls, or none ever will.
    pub(super) async fn ready(&self) {
        let mut slot = self.slot.subscribe();
        // An error means that the host is gone.
        drop(slot.wait_for(|slot| !matches!(slot, Slot::Down { .. })).await);
    }

    /// Whether no call is to be made but the one that tries the plugin.
    pub(super) fn is_circuit_open(&self) -> bool {
        self.circuit().is_open()
    }

    /// A child returned its first call.
    pub(super) fn answered(&self) {
        if self.circuit().answered() {
            tracing::info!(handler = %self.spec.handler, "the plugin answers again: its circuit is closed");
        }
    }

    /// Counts a call until what this returns is dropped.
    pub(super) fn count_call(&self) -> Counted<'_> {
        self.in_flight.send_modify(|calls| *calls += 1);
        Counted(self)
    }

    /// The plugin broke the contract.
    pub(super) fn count_breach(&self) {
        self.breaches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn status(&self) -> HostStatus {
        let slot = self.slot.borrow().clone();
        let (child, why_down) = match &slot {
            Slot::Up(child) => (Some(child), None),
            Slot::Down { why } => (None, Some(why.to_string())),
            Slot::Stopped => (None, Some("it is stopped".to_owned())),
        };
        let facts = self.facts.get();
        HostStatus {
            plugin: PluginId::new(facts.map_or("", |facts| &facts.id)),
            version: facts.map_or_else(String::new, |facts| facts.version.clone()),
            abi_minor: facts.map_or(0, |facts| facts.abi_minor),
            serial: self.is_serial(),
            sha256: self.library.sha256.clone(),
            pid: child.and_then(|child| child.pid),
            calls_in_flight: *self.in_flight.borrow(),
            restarts: self.restarts.load(Ordering::Relaxed),
            crashes: self.crashes.load(Ordering::Relaxed),
            breaches: self.breaches.load(Ordering::Relaxed),
            up: child.is_some(),
            circuit_open: self.is_circuit_open(),
            why_down,
        }
    }

    /// Whether [`Self::close`] was called: what is lost from then on is not the plugin's fault.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Takes no more calls, waits up to `grace` for those that run, and ends the child.
    pub(super) async fn close(&self, grace: Duration) {
        self.stopping.cancel();
        let before = self.slot.send_replace(Slot::Stopped);
        let mut in_flight = self.in_flight.subscribe();
        if timeout(grace, in_flight.wait_for(|calls| *calls == 0)).await.is_err() {
            tracing::warn!(handler = %self.spec.handler, "calls still run while the plugin's host is stopped");
        }
        if let Slot::Up(child) = before {
            child.end(Cause::Stopped);
        }
    }

    /// Changes who takes calls, unless the host is stopped.
    fn set(&self, new: Slot) {
        self.slot.send_if_modified(|slot| {
            let stopped = matches!(slot, Slot::Stopped);
            if !stopped {
                *slot = new;
            }
            !stopped
        });
    }

    /// Waits until the host is stopped or dropped.
    async fn ended(&self) {
        tokio::select! {
            () = self.stopping.cancelled() => {}
            () = self.gone.cancelled() => {}
        }
    }

    fn down(&self, why: &str) {
        let why = match self.is_circuit_open() {
            true => format!("{} and events wait; the last: {why}", circuit_words()),
            false => why.to_owned(),
        };
        self.set(Slot::Down { why: Arc::from(why) });
    }

    /// The child died by itself, or did not start.
    fn died(&self) {
        let mut circuit = self.circuit();
        let was_open = circuit.is_open();
        circuit.died(self.age.elapsed());
        if circuit.is_open() && !was_open {
            tracing::error!(handler = %self.spec.handler, "{}: its events wait in the store", circuit_words());
        }
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.in_flight.send_modify(|calls| *calls -= 1);
    }
}

/// Starts a child and waits until its plugin is ready.
pub(super) async fn start_child(shared: &Arc<Shared>) -> Result<Running, HostError> {
    let (process, socket) = process::spawn(&shared.program, &shared.spec.handler, &shared.library)
        .map_err(|source| HostError::Spawn { program: shared.program.path.clone(), source })?;
    let (reader, writer) = socket.into_split();
    let (outbox, frames) = mpsc::channel(HOST_OUTBOX_MAX);
    let child = Arc::new(Child::new(process.child.id(), outbox));
    let (ready, is_ready) = oneshot::channel();
    let writing = tokio::spawn(wire::write(writer, frames));
    let following = drive(Arc::clone(shared), Arc::clone(&child), process, reader, ready);
    let driver = tokio::spawn(async move {
        let ended = following.await;
        writing.abort();
        ended
    });
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
            Err(HostError::Slow { limit: HOST_START_MAX })
        }
    }
}

/// Watches the child, and starts it again when it has ended, until the host is stopped or dropped.
pub(super) async fn supervise(shared: Arc<Shared>, first: Running) {
    let mut running = first;
    loop {
        follow(&shared, running).await;
        match start_again(&shared).await {
            Some(next) => running = next,
            None => break,
        }
    }
    // Whatever was being started ends too.
    shared.gone.cancel();
}

/// Waits for the child's end.
async fn follow(shared: &Shared, running: Running) {
    let Running { child, driver } = running;
    let what = match driver.await {
        Ok(ended) => {
            let Ended { what, cause, of } = ended;
            if matches!(cause, Cause::Itself | Cause::Breach(_) | Cause::Hung { .. }) {
                shared.crashes.fetch_add(1, Ordering::Relaxed);
                shared.counters.death(of);
                tracing::error!(handler = %shared.spec.handler, pid = child.pid, "{what}");
            }
            // A hang costs its own deadline each time: that is brake enough.
            if matches!(cause, Cause::Itself | Cause::Breach(_)) {
                shared.died();
            }
            if matches!(cause, Cause::Breach(_)) {
                shared.count_breach();
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
    shared.down(&what);
}

/// Starts the child until it comes up, later each time. `None` where the host is stopped.
async fn start_again(shared: &Arc<Shared>) -> Option<Running> {
    loop {
        let wait = shared.circuit().next_wait();
        tokio::select! {
            () = sleep(wait) => {}
            () = shared.ended() => return None,
        }
        let started = tokio::select! {
            started = start_child(shared) => started,
            () = shared.ended() => return None,
        };
        match started {
            Ok(running) => {
                shared.restarts.fetch_add(1, Ordering::Relaxed);
                shared.up(&running.child);
                return Some(running);
            }
            Err(error) => {
                let why = with_causes(&error);
                tracing::error!(handler = %shared.spec.handler, "the plugin did not start: {why}");
                shared.died();
                shared.down(&why);
            }
        }
    }
}

fn circuit_words() -> String {
    format!("the plugin died more than {HOST_DEATHS_MAX} times within {HOST_DEATHS_WITHIN:?}")
}
