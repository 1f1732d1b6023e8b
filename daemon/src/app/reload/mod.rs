//! Reload: the configuration is read again and takes the running one's place, whole or not at all.
//!
//! ```text
//!  files, or a kept snapshot ─► load (every fault) ─► nothing that needs a restart ─► hosts for what is new or changed
//!        └───────────── a fault anywhere: refused, and what runs has not changed ──────────────┘
//!        ─► kept on disk ─► handlers, rules, sources, token, retention exchanged ─► what was replaced is drained
//! ```
//!
//! Asked for by SIGHUP and by the operator API; a start goes the same way from nothing. One reload at a time. The exchange
//! itself is a handful of pointers, none of which can fail, so no request, event or delivery meets half of it: the door
//! answers with the sources that a request began with, routing decides a batch by one table, and an attempt ends with the
//! host that it began with. A kill before the exchange leaves the old snapshot, after it the new one, since a start reads
//! the files.

pub(super) mod canary;
mod due;
mod error;
mod exchange;
mod loader;
pub(super) mod plugin;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::dry_run::Demand;
use super::handlers::{Handlers, Held, Libraries, Prepared};
use super::kept::{Kept, KeptSnapshots};
use super::library_record::LibraryRecord;
use super::runtime_file::RuntimeFile;
use super::trial_file::TrialFile;
use super::{LIBRARY_CACHE, StartError};
use crate::config::{Change, ConfigFile, Diagnostic, Loaded, Snapshot, restart};
use crate::ingest::Sources;
use crate::model::clock::{Clock, UnixMillis};
use crate::model::ids::{HandlerName, PluginName};
use crate::replay::dry_run::DryRun;
use crate::retain;
use crate::route::{RoutingTable, Tally};
use crate::store::{Store, StoreError};
pub use error::ReloadError;
use exchange::{Next, Way};
pub use loader::{Env, Loader};

/// Where a reload takes the configuration from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Files,
    /// A snapshot that ran before, by the beginning of its hash.
    Kept(String),
}

/// What a reload did.
#[derive(Debug)]
pub struct Reloaded {
    pub before: Arc<Snapshot>,
    pub after: Arc<Snapshot>,
    /// Empty where nothing changed.
    pub changes: Vec<Change>,
    /// Handlers whose host was exchanged.
    pub fresh: Vec<HandlerName>,
    /// Plugins of which a new library gets a share first, each with its handlers.
    pub canaries: Vec<(PluginName, Vec<HandlerName>)>,
    pub warnings: Vec<Diagnostic>,
    /// Where one was demanded.
    pub dry_run: Option<DryRun>,
    /// Handlers that the new snapshot does not name, with how many deliveries wait for each.
    pub unnamed: Vec<(HandlerName, u64)>,
}

/// The last reload that was refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub at: UnixMillis,
    pub why: String,
}

/// What runs now.
#[derive(Debug)]
struct Current {
    snapshot: Arc<Snapshot>,
    from: Origin,
}

/// Everything of a running daemon that a reload exchanges.
#[derive(Debug)]
pub struct Reloader {
    pub(super) loader: Loader,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Arc<dyn Store>,
    pub(super) handlers: Handlers,
    pub(super) tables: Arc<ArcSwap<RoutingTable>>,
    pub(super) tally: Arc<Tally>,
    pub(super) kept: KeptSnapshots,
    sources: Arc<ArcSwap<Sources>>,
    token: Option<Arc<ArcSwap<SecretString>>>,
    runtime_file: RuntimeFile,
    work: CancellationToken,
    tasks: TaskTracker,
    retaining: Mutex<CancellationToken>,
    current: ArcSwap<Current>,
    refusal: Mutex<Option<Refusal>>,
    pub(super) record: Arc<LibraryRecord>,
    held: Mutex<BTreeMap<PluginName, Held>>,
    trial_file: TrialFile,
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// What a [`Reloader`] is made of.
pub(super) struct Parts {
    pub(super) loader: Loader,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Arc<dyn Store>,
    pub(super) sources: Arc<ArcSwap<Sources>>,
    pub(super) token: Option<Arc<ArcSwap<SecretString>>>,
    pub(super) tally: Arc<Tally>,
    pub(super) runtime_file: RuntimeFile,
    pub(super) work: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Reloader {
    /// Of a daemon whose door is open already, with the first snapshot's sources; nothing else runs yet.
    pub(super) fn new(snapshot: Arc<Snapshot>, parts: Parts) -> Self {
        let Parts { loader, clock, store, sources, token, tally, runtime_file, work, tasks } = parts;
        let libraries = snapshot.store.path.join(LIBRARY_CACHE);
        let record = Arc::new(LibraryRecord::of(&libraries));
        Self {
            handlers: Handlers::new(Arc::clone(&store), Arc::clone(&clock), work.clone(), tasks.clone()),
            tables: Arc::new(ArcSwap::from_pointee(table(&snapshot))),
            kept: KeptSnapshots::of(&snapshot.store.path),
            retaining: Mutex::new(work.child_token()),
            current: ArcSwap::from_pointee(Current { snapshot, from: Origin::Files }),
            refusal: Mutex::default(),
            record,
            held: Mutex::default(),
            trial_file: TrialFile::of(&libraries),
            one_at_a_time: tokio::sync::Mutex::default(),
            loader,
            clock,
            store,
            sources,
            token,
            tally,
            runtime_file,
            work,
            tasks,
        }
    }

    /// Starts the first snapshot's hosts.
    pub(super) async fn prepare_first(&self) -> Result<Prepared, StartError> {
        let held = self.held_by_trials().await;
        let prepared = self.handlers.prepare(&self.snapshot(), Libraries { held: &held, only: None }).await?;
        self.hold(held);
        Ok(prepared)
    }

    /// Begins with the first snapshot: its hosts are started, and it is kept.
    pub(super) async fn begin(self: &Arc<Self>, files: &[ConfigFile], prepared: Prepared) {
        let snapshot = self.snapshot();
        self.keep(&snapshot, files);
        self.tally.follow(&snapshot.rules);
        self.handlers.adopt(prepared);
        self.record_libraries("start", "").await;
        self.resume_trials().await;
        self.retain(&snapshot);
    }

    /// The snapshot that runs.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.load().snapshot)
    }

    /// Whether a kept snapshot runs, and not what the files said.
    pub fn is_rolled_back(&self) -> bool {
        matches!(self.current.load().from, Origin::Kept(_))
    }

    /// The last reload, where it was refused.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what runs by what `from` says, where it does what is demanded. Goes on though its caller goes away.
    pub async fn reload(
        self: &Arc<Self>,
        from: Origin,
        demand: Option<Demand>,
    ) -> Result<Reloaded, ReloadError> {
        let this = Arc::clone(self);
        let reloading = async move {
            let _one_at_a_time = this.one_at_a_time.lock().await;
            let result = this.exchange(from, demand).await;
            this.tell(&result);
            result
        };
        tokio::spawn(reloading).await?
    }

    async fn exchange(
        self: &Arc<Self>,
        from: Origin,
        demand: Option<Demand>,
    ) -> Result<Reloaded, ReloadError> {
        let next = Next::from(self.load(from.clone()).await?);
        let before = self.snapshot();
        let needed = restart::needed(&before, &next.snapshot);
        if !needed.is_empty() {
            return Err(ReloadError::NeedsRestart(needed));
        }
        self.refuse_where_on_trial(&before, &next.snapshot)?;
        let dry_run = self.meet(demand, &next.snapshot).await?;
        // A plugin that was rolled back stays so until its section means another library.
        let meant = |snapshot: &Snapshot, plugin: &PluginName| {
            snapshot.plugins.get(plugin).map(|plugin| (plugin.path.clone(), plugin.sha256.clone()))
        };
        let mut held = self.held();
        held.retain(|plugin, _| meant(&before, plugin) == meant(&next.snapshot, plugin));
        // A snapshot that ran before comes back whole, as it was.
        let canaries = match from {
            Origin::Files => self.due_canaries(&before, &next.snapshot, &held).await?,
            Origin::Kept(_) => Vec::new(),
        };
        let reloaded = self.put_in_place(next, from, Way { held, only: None, canaries }).await?;
        self.record_libraries("reload", "").await;
        for (plugin, handlers) in &reloaded.canaries {
            let before = self.running_library(plugin)?;
            let begun = self.begun(plugin, before, handlers.clone(), "").await;
            self.tell_of_plugin(plugin, "canary", "", begun).await?;
        }
        Ok(Reloaded { dry_run, ..reloaded })
    }

    /// Tries the new rules against history, where that is demanded.
    async fn meet(&self, demand: Option<Demand>, after: &Snapshot) -> Result<Option<DryRun>, ReloadError> {
        let Some(demand) = demand else { return Ok(None) };
        let dry_run = self.dry_run(&after.rules, demand.last).await?;
        match dry_run.changed > demand.changes_max {
            true => Err(ReloadError::Changes { dry_run: Box::new(dry_run), max: demand.changes_max }),
            false => Ok(Some(dry_run)),
        }
    }

    async fn load(self: &Arc<Self>, from: Origin) -> Result<Loaded, ReloadError> {
        let this = Arc::clone(self);
        let loading = tokio::task::spawn_blocking(move || match from {
            Origin::Files => Ok(this.loader.files()?),
            Origin::Kept(hash) => {
                let kept = this.kept.find(&hash).ok_or(ReloadError::NotKept(hash))?;
                Ok(this.loader.load(kept.files())?)
            }
        });
        loading.await?
    }

    /// A disk that takes no file must not keep an operator from mending what runs.
    fn keep(&self, snapshot: &Snapshot, files: &[ConfigFile]) {
        let now = self.clock.now();
        if let Err(error) = self.kept.keep(snapshot.hash.as_str(), files, now) {
            warn!(%error, snapshot = %snapshot.hash, "the snapshot could not be kept: it cannot be rolled back to");
        }
    }

    /// Starts retention by this snapshot, in the place of the one before.
    fn retain(&self, snapshot: &Snapshot) {
        let stop = self.work.child_token();
        let mut retaining = self.retaining.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *retaining, stop.clone()).cancel();
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        self.tasks.spawn(retain::run(store, clock, snapshot.store.retention, stop));
    }

    async fn unnamed(&self, snapshot: &Snapshot) -> Vec<(HandlerName, u64)> {
        match unnamed(&*self.store, snapshot).await {
            Ok(unnamed) => unnamed,
            Err(error) => {
                warn!(%error, "the store could not say for whom deliveries wait");
                Vec::new()
            }
        }
    }

    fn tell(&self, result: &Result<Reloaded, ReloadError>) {
        let refusal = match result {
            Ok(reloaded) => {
                let (before, after) = (&reloaded.before.hash, &reloaded.after.hash);
                info!(%before, %after, changes = reloaded.changes.len(), "reloaded");
                for change in &reloaded.changes {
                    info!("reloaded: {change}");
                }
                for handler in &reloaded.fresh {
                    info!(%handler, "reloaded: a new host took over");
                }
                tell_of_the_unnamed(&reloaded.unnamed);
                None
            }
            Err(error) => {
                let why = error.sentences();
                error!(snapshot = %self.snapshot().hash, "the reload is refused, and the snapshot runs on: {why}");
                Some(Refusal { at: self.clock.now(), why })
            }
        };
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }

    /// Every kept snapshot, newest first.
    pub(super) fn kept(&self) -> Vec<Kept> {
        self.kept.list()
    }

    /// Tells the commands of this machine where the daemon is.
    pub(super) fn write_runtime_file(&self) -> Result<(), StartError> {
        self.runtime_file.write(&self.snapshot())
    }

    /// The file that says where the daemon is goes at its end.
    pub(super) fn remove_runtime_file(&self) {
        self.runtime_file.remove();
    }
}

/// Handlers that deliveries wait for and that the snapshot does not name.
pub(super) async fn unnamed(
    store: &dyn Store,
    snapshot: &Snapshot,
) -> Result<Vec<(HandlerName, u64)>, StoreError> {
    let mut waiting = store.waiting_by_handler().await?;
    waiting.retain(|(handler, _)| !snapshot.handlers.contains_key(handler));
    Ok(waiting)
}

/// Somebody must know.
pub(super) fn tell_of_the_unnamed(unnamed: &[(HandlerName, u64)]) {
    for (handler, waiting) in unnamed {
        error!(%handler, waiting, "deliveries wait for a handler that the configuration does not name");
    }
}

fn table(snapshot: &Snapshot) -> RoutingTable {
    RoutingTable { snapshot: snapshot.hash.clone(), rules: Arc::clone(&snapshot.rules) }
}
