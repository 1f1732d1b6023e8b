//! What the children of one handler have in common: what they are started from, what they are counted by, and their seats.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hookyard_plugin_host::protocol::{Facts, Start};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::account::AccountError;
use super::death::Cause;
use super::figures::Counters;
use super::library::{self, Checked};
use super::pool::{Pool, Standing};
use super::{
    HostError, HostProgram, HostSpec, HostStatus, ProcessStatus, Services, account, http, inline, start,
};
use crate::model::clock::Stopwatch;
use crate::model::ids::PluginId;
use crate::model::isolation::Isolation;

/// What the calls, the supervisors and the host's owner share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) spec: HostSpec,
    pub(super) services: Arc<dyn Services>,
    /// Makes the plugin's HTTP requests.
    pub(super) http: http::Client,
    /// Who takes calls now.
    pub(super) pool: Arc<Pool>,
    /// The first message to a child.
    pub(super) start: Start,
    /// The host was dropped, or is stopped for good: its children are killed.
    pub(super) gone: CancellationToken,
    /// The host is being stopped: no child is started again.
    stopping: CancellationToken,
    pub(super) program: HostProgram,
    pub(super) library: Checked,
    /// What the library says of itself, once it was loaded.
    pub(super) facts: OnceLock<Facts>,
    in_flight: watch::Sender<usize>,
    pub(super) counters: Counters,
    /// Since the host began.
    pub(super) age: Stopwatch,
    pub(super) restarts: AtomicU64,
    crashes: AtomicU64,
    breaches: AtomicU64,
    /// The first time that the plugin died, hung, or broke the contract.
    fault: watch::Sender<Option<String>>,
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
        let isolation = spec.isolation;
        let account = spec.confine.as_ref().and_then(|confine| confine.user.clone());
        let loading = tokio::task::spawn_blocking(move || {
            let is_root = rustix::process::geteuid().is_root();
            let user = account.map(|account| account::look_up(&account, is_root)).transpose()?;
            let library = library::load(&path, &trust, &cache)?;
            if isolation == Isolation::Inline {
                library::refuse_noexec(&cache)?;
            }
            Ok::<_, HostError>((library, user))
        });
        let (library, user) = loading.await.map_err(HostError::Task)??;
        if user.is_some() && library.in_memory.is_none() {
            return Err(AccountError::NoSealedMemory.into());
        }
        library.check_settings(&spec.settings_json)?;
        let workers = u16::try_from(spec.concurrency.max(1)).unwrap_or(u16::MAX);
        let start = start::start(&spec, &library, user, workers)?;
        if spec.isolation == Isolation::Inline {
            inline::may_run(&program, &spec.handler, &library).await?;
        }
        Ok(Arc::new(Self {
            services,
            http: http::Client::new(&spec)?,
            pool: Pool::new(spec.processes.max(1), workers.into()),
            start,
            gone: CancellationToken::new(),
            stopping: CancellationToken::new(),
            program,
            library,
            facts: OnceLock::new(),
            in_flight: watch::Sender::new(0),
            counters: Counters::default(),
            age: Stopwatch::start(),
            restarts: AtomicU64::new(0),
            crashes: AtomicU64::new(0),
            breaches: AtomicU64::new(0),
            fault: watch::Sender::new(None),
            spec,
        }))
    }

    /// Whether the plugin takes one call at a time.
    pub(super) fn is_serial(&self) -> bool {
        self.facts.get().is_some_and(|facts| facts.serial)
    }

    /// Whether the plugin runs inside the daemon.
    pub(super) fn is_inline(&self) -> bool {
        self.spec.isolation == Isolation::Inline
    }

    /// Counts a call until what this returns is dropped.
    pub(super) fn count_call(&self) -> Counted<'_> {
        self.in_flight.send_modify(|calls| *calls += 1);
        Counted(self)
    }

    /// The plugin broke the contract.
    pub(super) fn count_breach(&self, what: &str) {
        self.breaches.fetch_add(1, Ordering::Relaxed);
        self.tell_fault(what);
    }

    /// A child died, or had to be killed.
    pub(super) fn count_crash(&self, what: &str) {
        self.crashes.fetch_add(1, Ordering::Relaxed);
        self.tell_fault(what);
    }

    /// Waits for the first fault of the plugin's, and says what it was.
    pub(super) async fn faulted(&self) -> String {
        let mut fault = self.fault.subscribe();
        let told = fault.wait_for(Option::is_some).await;
        told.ok().and_then(|told| told.clone()).expect("the sender lives in self, and one was waited for")
    }

    /// The first fault counts.
    pub(super) fn tell_fault(&self, what: &str) {
        self.fault.send_if_modified(|fault| {
            let first = fault.is_none();
            if first {
                *fault = Some(what.to_owned());
            }
            first
        });
    }

    pub(super) fn status(&self) -> HostStatus {
        let standings = self.pool.standings();
        let hanging = standings.iter().map(|standing| standing.hanging).sum();
        let processes: Vec<ProcessStatus> = standings.into_iter().map(process).collect();
        let up = processes.iter().any(|process| process.up);
        let facts = self.facts.get();
        HostStatus {
            plugin: PluginId::new(facts.map_or("", |facts| &facts.id)),
            version: facts.map_or_else(String::new, |facts| facts.version.clone()),
            abi_minor: facts.map_or(0, |facts| facts.abi_minor),
            serial: self.is_serial(),
            sha256: self.library.sha256.clone(),
            pid: processes.iter().find_map(|process| process.pid),
            isolation: self.spec.isolation,
            calls_in_flight: *self.in_flight.borrow(),
            hanging,
            restarts: self.restarts.load(Ordering::Relaxed),
            crashes: self.crashes.load(Ordering::Relaxed),
            breaches: self.breaches.load(Ordering::Relaxed),
            up,
            circuit_open: processes.iter().all(|process| process.circuit_open),
            why_down: processes.iter().find_map(|process| process.why_down.clone()).filter(|_| !up),
            processes,
        }
    }

    /// Whether [`Self::close`] was called: what is lost from then on is not the plugin's fault.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Takes no more calls, waits up to `grace` for those that run, and ends the children.
    pub(super) async fn close(&self, grace: Duration) {
        self.stopping.cancel();
        self.pool.stop();
        let mut in_flight = self.in_flight.subscribe();
        if timeout(grace, in_flight.wait_for(|calls| *calls == 0)).await.is_err() {
            tracing::warn!(handler = %self.spec.handler, "calls still run while the plugin's host is stopped");
        }
        for child in self.pool.children() {
            child.end(Cause::Stopped);
        }
    }

    /// Waits until the host is stopped or dropped.
    pub(super) async fn ended(&self) {
        tokio::select! {
            () = self.stopping.cancelled() => {}
            () = self.gone.cancelled() => {}
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.in_flight.send_modify(|calls| *calls -= 1);
    }
}

fn process(standing: Standing) -> ProcessStatus {
    ProcessStatus {
        pid: standing.child.as_ref().and_then(|child| child.pid),
        up: standing.child.is_some(),
        calls_in_flight: standing.calls,
        circuit_open: standing.circuit_open,
        why_down: standing.why_down,
    }
}
