//! Hosts: each handler's plugin in child processes of its own, so that a bad plugin costs an attempt, not the daemon; or,
//! where the operator says so, inside the daemon (`inline`), which then shares its fate.
//!
//! `dispatch` makes a [`Host`] for each handler and asks it to [`Host::call`] the plugin once for each attempt. A call
//! never fails: whatever went wrong is the attempt's outcome. What a plugin asks for while it works comes back through
//! [`Services`], which the store answers, durably. Nothing here is kept: a host that dies loses only the attempts that
//! it held, and is started again.
//!
//! In the order of the way down: `place` (who could change a library), `signature` (who made it), `library` (the bytes that
//! were checked are the bytes that run), `sealed` (those bytes in memory), `account` (who the child becomes), `process` (the
//! child), `start` (its first message), `child` (its end of the conversation), `upcall` (what plugins ask for), `http`
//! (requests made for them), `call` (one attempt, with its deadline), `report` (the ABI's words into the model's), `pool`
//! (which child takes a call), `inline` (a child that is no process), `shared` (what the children have in common),
//! `supervise` (start, watch, start again), `circuit` (when to start again), `figures` and `usage` (what metrics say);
//! `inspect` only loads a library and asks what it is.

mod account;
mod call;
mod child;
mod circuit;
mod death;
mod drive;
mod elf;
mod error;
mod figures;
mod http;
mod inline;
mod inspect;
mod library;
mod place;
mod pool;
mod process;
mod report;
mod sealed;
mod shared;
mod signature;
mod start;
mod supervise;
mod upcall;
mod usage;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

use crate::model::attempt::Outcome;
use crate::model::confinement::Confinement;
use crate::model::event::Event;
use crate::model::ids::{HandlerName, PluginId, RuleName, StepId};
use crate::model::isolation::Isolation;
use crate::model::limits::{HOST_EXIT_MAX, HOST_SETTLE_MAX};
use crate::model::memory::{Expect, KvPut, KvValue, StepState};
use crate::model::signed_by::SignedBy;

pub use account::{AccountError, look_up as look_up_account};
pub use error::HostError;
pub use figures::{Figures, Times};
pub use http::{FarSide, NoAnswer, Script};
pub use inline::mapped;
pub use inspect::{Inspected, inspect};
pub use library::hash as library_hash;
use shared::Shared;
pub use signature::Unsigned;
pub use usage::Usage;

/// What a host is made of.
#[derive(Debug, Clone)]
pub struct HostSpec {
    pub handler: HandlerName,
    /// The library, as configured.
    pub library: PathBuf,
    pub trust: Trust,
    /// Where checked libraries are kept, by their hash; made if need be, for this user alone.
    pub cache: PathBuf,
    /// The handler's settings: a JSON object.
    pub settings_json: String,
    /// What the plugin may ask for by name.
    pub secrets: BTreeMap<String, SecretString>,
    /// Calls at once in one process; at least 1. One for a plugin that says it is serial.
    pub concurrency: usize,
    /// In processes of its own, or inside this one: then `processes` is 1, and `confine` is none.
    pub isolation: Isolation,
    /// Processes of the same library and settings; at least 1.
    pub processes: usize,
    /// How long one call may take, waiting for the host included.
    pub timeout: Duration,
    /// What it may reach; without one, all that this process may.
    pub confine: Option<Confinement>,
    /// Who answers what it asks over HTTP.
    pub http: FarSide,
}

/// What a library has to show before any of it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// What its SHA-256 may be, 64 hex digits each; without any, whatever stands there is taken (`--dev`).
    pub sha256: Vec<String>,
    /// The user beside root who may be able to change the file; `None` where nobody asks (`--dev`, and libraries out of the
    /// cache).
    pub owner: Option<u32>,
    /// Whose signature it has to bear, if any.
    pub signed_by: Option<SignedBy>,
}

impl HostSpec {
    /// Whether a host of this one does where `other` is wanted, as far as both say beside the library: what that is, its
    /// content says.
    fn is_like(&self, other: &Self) -> bool {
        let secrets = |spec: &Self| -> Vec<(String, String)> {
            spec.secrets
                .iter()
                .map(|(name, secret)| (name.clone(), secret.expose_secret().to_owned()))
                .collect()
        };
        self.handler == other.handler
            && self.settings_json == other.settings_json
            && self.concurrency == other.concurrency
            && self.isolation == other.isolation
            && self.processes == other.processes
            && self.timeout == other.timeout
            && self.confine == other.confine
            && self.http == other.http
            // Asked no more, as of a library that ran before and comes out of the cache: no reason for another host.
            && (other.trust.signed_by.is_none() || self.trust.signed_by == other.trust.signed_by)
            && secrets(self) == secrets(other)
    }
}

/// The program that becomes the child.
#[derive(Debug, Clone)]
pub struct HostProgram {
    pub path: PathBuf,
    pub args: Vec<String>,
}

/// What plugins ask for. Each answer that changes something comes after it is on disk.
#[async_trait]
pub trait Services: Send + Sync + fmt::Debug + 'static {
    /// Marks the step as begun and says how it stood before.
    async fn step_begin(&self, step: StepId) -> Result<StepState, ServiceError>;
    /// Records that the step is finished.
    async fn step_end(&self, step: StepId, memo: Vec<u8>) -> Result<(), ServiceError>;
    /// The step's idempotency key for the far side: the same for ever.
    fn step_key(&self, step: &StepId) -> String;
    /// A plugin's key-value pair.
    async fn kv_get(&self, plugin: PluginId, key: Vec<u8>) -> Result<Option<KvValue>, ServiceError>;
    /// Writes a plugin's key-value pair, if what stands there is what is expected.
    async fn kv_put(
        &self,
        plugin: PluginId,
        key: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> Result<KvPut, ServiceError>;
    /// Makes a plugin's HTTP request. A test kills the plugin before it, or after.
    async fn around_http<'a>(&self, request: Pin<Box<dyn Future<Output = ()> + Send + 'a>>) {
        request.await;
    }
}

/// Why a service was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// The plugin's own fault: it is told `E_TOO_LARGE`.
    #[error("{what} is {bytes} bytes; at most {max} are kept")]
    TooLarge { what: &'static str, bytes: usize, max: usize },
    /// The daemon's fault: the plugin is told `E_IO`, the log says this.
    #[error("{0}")]
    Failed(String),
}

/// Who else may be in the same process during a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    Others,
    /// Nobody: what dies then, dies of this call.
    Nobody,
}

/// One call, ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    /// The last lines that the plugin logged, oldest first.
    pub log: Vec<String>,
    pub duration: Duration,
}

/// The hash of the library that stands at the path now; refused where none of the pins is it.
pub async fn check_pin(library: &Path, pins: &[String]) -> Result<String, HostError> {
    let there = hash_at(library).await?;
    library::check_pin(library, &there, pins)?;
    Ok(there)
}

/// What stands at the path now. Nothing of it is loaded by this, so nobody asks who signed it.
async fn hash_at(library: &Path) -> Result<String, HostError> {
    let path = library.to_owned();
    tokio::task::spawn_blocking(move || library_hash(&path, None)).await.map_err(HostError::Task)?
}

/// How a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStatus {
    pub plugin: PluginId,
    pub version: String,
    /// The plugin takes one call at a time in each process, whatever the handler's concurrency.
    pub serial: bool,
    /// The ABI minor that it was built for.
    pub abi_minor: u16,
    /// Of the library that runs, 64 hex digits.
    pub sha256: String,
    /// Of the first process that is up.
    pub pid: Option<u32>,
    pub isolation: Isolation,
    /// Those that wait for a process too.
    pub calls_in_flight: usize,
    /// Of these, calls inside the daemon that did not return at their deadline: only the daemon's end ends them.
    pub hanging: usize,
    /// Times that a child was started again.
    pub restarts: u64,
    /// Times that a child died, or had to be killed.
    pub crashes: u64,
    /// Outcomes that are none, panics, and breaches of the protocol.
    pub breaches: u64,
    /// At least one process is up.
    pub up: bool,
    /// Events wait: every child died too often in a short time.
    pub circuit_open: bool,
    /// Where none is up.
    pub why_down: Option<String>,
    /// One for each, in the order of their seats.
    pub processes: Vec<ProcessStatus>,
}

/// How one of a host's processes is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStatus {
    pub pid: Option<u32>,
    pub up: bool,
    pub calls_in_flight: usize,
    /// It died too often in a short time, and is asked by one call at a time once it is up.
    pub circuit_open: bool,
    pub why_down: Option<String>,
}

impl ProcessStatus {
    /// What it uses of the machine; `None` where it is down.
    pub fn usage(&self) -> Option<Usage> {
        usage::of(self.pid?)
    }
}

/// A handler's plugin in its child processes. Dropping it kills them; [`Host::stop`] is the gentle way.
#[derive(Debug)]
pub struct Host {
    shared: Arc<Shared>,
    supervisor: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    _kill_on_drop: DropGuard,
}

impl Default for HostProgram {
    /// This very program: the running inode, even after its file was replaced.
    fn default() -> Self {
        Self { path: PathBuf::from("/proc/self/exe"), args: vec!["plugin-host".to_owned()] }
    }
}

impl Host {
    /// Checks the library, starts its children, loads, and makes the plugin in each. The error is a sentence for the operator.
    pub async fn start(spec: HostSpec, services: Arc<dyn Services>) -> Result<Self, HostError> {
        Self::start_with(HostProgram::default(), spec, services).await
    }

    /// The same with another program as the child.
    pub async fn start_with(
        program: HostProgram,
        spec: HostSpec,
        services: Arc<dyn Services>,
    ) -> Result<Self, HostError> {
        let shared = Shared::new(program, spec, services).await?;
        let kill_on_drop = shared.gone.clone().drop_guard();
        let supervisor = supervise::start(&shared).await?;
        let supervisor = tokio::sync::Mutex::new(Some(supervisor));
        Ok(Self { shared, supervisor, _kill_on_drop: kill_on_drop })
    }

    /// Waits until the plugin takes calls, or never will again.
    pub async fn ready(&self) {
        self.shared.pool.ready().await;
    }

    /// One attempt: hands the event to the plugin and waits for its outcome, its deadline, or its death. While the child
    /// is down the call waits for it, within the same deadline. Takes at most the timeout and [`crate::model::limits::CALL_GRACE_MAX`].
    /// A plugin inside the daemon that hangs is waited for until it returns, or the host is stopped: it must not be asked
    /// twice at once. Dropping the future does not stop the attempt. `None` where the plugin was never asked: its circuit is
    /// open, it did not come up, or none of its workers was free in time.
    pub async fn call(
        &self,
        event: &Arc<Event>,
        attempt: u32,
        rule: &RuleName,
        company: Company,
    ) -> Option<Report> {
        let job = call::Job { event: Arc::clone(event), attempt, rule: rule.clone(), company };
        // A task of its own: a caller that goes away must not leave a hung plugin unwatched.
        match tokio::spawn(call::call(Arc::clone(&self.shared), job)).await {
            Ok(report) => report,
            Err(error) => {
                let what = format!("the daemon's own task for the attempt failed: {error}");
                Some(Report { outcome: Outcome::Crashed { what }, log: Vec::new(), duration: Duration::ZERO })
            }
        }
    }

    /// Whether a host that is started now by `spec` would be another one than this: other settings, secrets or limits, or
    /// another library. What stands at the path and is not pinned would not start, so it is no reason to leave this one.
    pub async fn differs_from(&self, spec: &HostSpec) -> Result<bool, HostError> {
        let running = self.status().sha256;
        if !self.shared.spec.is_like(spec) || !library::may_run(&running, &spec.trust.sha256) {
            return Ok(true);
        }
        let there = hash_at(&spec.library).await?;
        Ok(there != running && library::may_run(&there, &spec.trust.sha256))
    }

    /// How it is now.
    pub fn status(&self) -> HostStatus {
        self.shared.status()
    }

    /// What it counted since it was made.
    pub fn figures(&self) -> Figures {
        self.shared.counters.figures()
    }

    /// What its children use of the machine together; `None` where there is none.
    pub fn usage(&self) -> Option<Usage> {
        self.status().processes.iter().filter_map(ProcessStatus::usage).reduce(Usage::and)
    }

    /// Calls that it works on at once, where it is handed so many.
    pub fn width(&self) -> usize {
        let HostSpec { concurrency, processes, .. } = self.shared.spec;
        if self.shared.is_serial() { concurrency.min(processes.max(1)) } else { concurrency }
    }

    /// Waits until its plugin dies, hangs, panics or breaks the contract for the first time, and says what it was.
    pub async fn faulted(&self) -> String {
        self.shared.faulted().await
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.shared.is_stopped()
    }

    /// Takes no more calls, waits up to `grace` for those that run, then ends the children; what still runs is reported as
    /// crashed. Idempotent.
    pub async fn stop(&self, grace: Duration) {
        self.shared.close(grace).await;
        if let Some(supervisor) = self.supervisor.lock().await.take()
            && tokio::time::timeout(HOST_EXIT_MAX + HOST_SETTLE_MAX, supervisor).await.is_err()
        {
            self.shared.gone.cancel();
        }
    }
}
