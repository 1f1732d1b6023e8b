//! The composition root: a checked snapshot in, a running daemon out.
//!
//! Order of the start: bind the operator listener, open the store, serve the door, start a host for each handler, serve
//! operators, take back the leases of the process before, then dispatch and route. The door is early because what it takes
//! is safe whatever comes after; a large store is still being read then, and everything behind the door waits for that.
//! `reload` exchanges everything that may change while it runs.
//! Order of the end: close the door and answer what it took, finish the attempts under way, stop the hosts, close the
//! store. A kill at any point of either loses nothing: the store is the only state.

mod control;
pub mod descriptors;
mod door;
pub mod dry_run;
pub mod explain;
mod handler_view;
mod handlers;
mod json_file;
mod kept;
mod library_record;
pub mod reload;
pub mod runtime_file;
mod tally_file;
mod trial_file;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::admin::{self, Admin, Facts};
use crate::config::{ConfigFile, Loaded, Snapshot, StoreSettings};
use crate::host::HostError;
pub use crate::host::library_hash;
use crate::ingest::{DoorError, Sources};
use crate::model::clock::{Clock, SystemClock};
use crate::route::{self, Tally};
pub use crate::store::sled::OpenError;
pub use crate::store::sled::{CompactError, CompactPhase, CompactProgress, Compacted};
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Health, Store, Upkeep};
use crate::verify::stripe::SchemeError;
use control::Operations;
pub use handlers::LIBRARY_CACHE;
pub(crate) use handlers::trust;
use reload::{Loader, Parts, Reloader};
use runtime_file::RuntimeFile;

/// How often the store's health is looked at: a failed store ends the daemon within this time.
const HEALTH_POLL: Duration = Duration::from_millis(250);
/// What operators' requests under way get at the end.
const ADMIN_CLOSE_MAX: Duration = Duration::from_secs(1);
/// A disk that hangs must not keep the process.
const STORE_CLOSE_MAX: Duration = Duration::from_secs(10);

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    door: SocketAddr,
    admin: Option<SocketAddr>,
    store: Arc<dyn Store>,
    reloader: Arc<Reloader>,
    stop: Stop,
}

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the operator listener cannot listen on {listen}; is another hookyard running there?")]
    AdminListen { listen: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Door(#[from] DoorError),
    #[error("source `{source_name}`")]
    Scheme { source_name: String, source: SchemeError },
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error("handler `{handler}` cannot start")]
    Handler { handler: String, source: HostError },
    #[error("the store cannot be used")]
    Leases(#[from] crate::store::StoreError),
    #[error("{path} cannot be written")]
    RuntimeFile { path: PathBuf, source: std::io::Error },
}

/// Why the daemon ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// The store failed: start again, so that it is opened and checked anew.
    StoreFailed(String),
}

/// The stages' stop buttons and what still runs, in the order of the end.
#[derive(Debug, Default)]
struct Stop {
    door: CancellationToken,
    door_tasks: TaskTracker,
    work: CancellationToken,
    work_tasks: TaskTracker,
    admin: CancellationToken,
    admin_tasks: TaskTracker,
}

impl Daemon {
    /// Starts everything; on an error nothing is left running. `loader` is asked again at each reload.
    pub async fn start(loaded: Loaded, loader: Loader) -> Result<Self, StartError> {
        let (snapshot, clock): (_, Arc<dyn Clock>) = (Arc::new(loaded.snapshot), Arc::new(SystemClock));
        let admin_listener = bind_admin(&snapshot).await?;
        let store = open_store(&snapshot, Arc::clone(&clock)).await?;
        let door = door::bind(&snapshot, Arc::clone(&store), Arc::clone(&clock)).await?;
        let stop = Stop::default();
        let (address, sources) = (door.local_addr(), door.sources());
        stop.door_tasks.spawn(door.serve(stop.door.clone(), snapshot.server.drain_timeout));
        info!(door = %address, "the door is open");
        let admin = admin_listener.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        let (files, for_start) = (loaded.files, Arc::clone(&store));
        let start = Start { snapshot, files, loader, door: address, sources, store: for_start, clock };
        match start.behind(admin_listener, &stop).await {
            Ok(reloader) => {
                info!(door = %address, ?admin, "listening");
                Ok(Self { door: address, admin, store, reloader, stop })
            }
            Err(error) => {
                stop.end_all().await;
                close_store(&*store).await;
                Err(error)
            }
        }
    }

    /// Where the door listens.
    pub fn door(&self) -> SocketAddr {
        self.door
    }

    /// Where the operator listener listens, if there is one.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What exchanges the configuration while the daemon runs.
    pub fn reloader(&self) -> Arc<Reloader> {
        Arc::clone(&self.reloader)
    }

    /// Runs until `asked` resolves or the store fails, then ends in order.
    pub async fn run_until(self, asked: impl Future<Output = ()>) -> Ended {
        let ended = tokio::select! {
            () = asked => Ended::Stopped,
            why = store_failure(&*self.store) => Ended::StoreFailed(why),
        };
        self.end().await;
        ended
    }

    async fn end(self) {
        info!("stopping: the door closes, what was accepted is answered");
        close_stage(self.stop.door, self.stop.door_tasks).await;
        info!("stopping: attempts under way are finished");
        let drain = self.reloader.snapshot().server.drain_timeout;
        if tokio::time::timeout(drain, close_stage(self.stop.work, self.stop.work_tasks)).await.is_err() {
            warn!(?drain, "attempts were still under way after the drain time: they are made again");
        }
        self.reloader.handlers.stop().await;
        // A client that holds half a request open must not keep the process.
        drop(
            tokio::time::timeout(ADMIN_CLOSE_MAX, close_stage(self.stop.admin, self.stop.admin_tasks)).await,
        );
        self.reloader.remove_runtime_file();
        close_store(&*self.store).await;
        info!("stopped");
    }
}

impl Stop {
    /// Ends what runs of a daemon that did not start.
    async fn end_all(self) {
        close_stage(self.door, self.door_tasks).await;
        close_stage(self.work, self.work_tasks).await;
        drop(tokio::time::timeout(ADMIN_CLOSE_MAX, close_stage(self.admin, self.admin_tasks)).await);
    }
}

/// What a start has when its door is open.
struct Start {
    snapshot: Arc<Snapshot>,
    files: Vec<ConfigFile>,
    loader: Loader,
    door: SocketAddr,
    sources: Arc<ArcSwap<Sources>>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Start {
    async fn behind(
        self,
        admin_listener: Option<(TcpListener, SecretString)>,
        stop: &Stop,
    ) -> Result<Arc<Reloader>, StartError> {
        let Self { snapshot, files, loader, door, sources, store, clock } = self;
        let admin = admin_listener.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        let dev = loader.dev;
        let (listener, token) = admin_listener.unzip();
        let token = token.map(|token| Arc::new(ArcSwap::from_pointee(token)));
        let tally = Arc::new(Tally::new(Arc::clone(&clock), tally_file::read(&snapshot.store.path)));
        let parts = Parts {
            loader,
            clock,
            store: Arc::clone(&store),
            sources,
            token: token.clone(),
            tally: Arc::clone(&tally),
            runtime_file: RuntimeFile::new(&snapshot, dev, door, admin),
            work: stop.work.clone(),
            tasks: stop.work_tasks.clone(),
        };
        let reloader = Arc::new(Reloader::new(Arc::clone(&snapshot), parts));
        let prepared = reloader.prepare_first().await?;
        reloader.write_runtime_file()?;
        if let (Some(listener), Some(token)) = (listener, token) {
            let facts = Facts { version: env!("CARGO_PKG_VERSION"), door, dev };
            let control = Arc::new(Operations { reloader: Arc::clone(&reloader) });
            let admin = Admin { store: Arc::clone(&store), token, facts, control };
            let serving = admin::serve(listener, admin, stop.admin.clone());
            stop.admin_tasks.spawn(async move {
                if let Err(error) = serving.await {
                    error!(%error, "the operator listener ended");
                }
            });
        }
        take_back_leases(&*store).await?;
        reload::tell_of_the_unnamed(&reload::unnamed(&*store, &snapshot).await?);
        reloader.begin(&files, prepared).await;
        let writing = tally_file::run(snapshot.store.path.clone(), Arc::clone(&tally), stop.work.clone());
        stop.work_tasks.spawn(writing);
        stop.work_tasks.spawn(route::run(store, Arc::clone(&reloader.tables), tally, stop.work.clone()));
        Ok(reloader)
    }
}

async fn close_store(store: &dyn Store) {
    match tokio::time::timeout(STORE_CLOSE_MAX, store.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => error!(%error, "the store did not close cleanly; what was acknowledged is on disk"),
        Err(_) => error!("the store did not close in time; what was acknowledged is on disk"),
    }
}

async fn close_stage(stop: CancellationToken, tasks: TaskTracker) {
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}

async fn bind_admin(snapshot: &Snapshot) -> Result<Option<(TcpListener, SecretString)>, StartError> {
    let Some(admin) = &snapshot.server.admin else { return Ok(None) };
    let listener = TcpListener::bind(admin.listen)
        .await
        .map_err(|source| StartError::AdminListen { listen: admin.listen, source })?;
    Ok(Some((listener, admin.token.clone())))
}

/// Gives the disk space of what was removed back. No daemon may run on that store.
pub async fn compact_store(
    settings: &StoreSettings,
    progress: impl FnMut(CompactProgress) + Send + 'static,
) -> Result<Compacted, CompactError> {
    SledStore::compact(sled_options(settings), Arc::new(SystemClock), progress).await
}

fn sled_options(settings: &StoreSettings) -> SledOptions {
    SledOptions {
        cache_bytes: settings.cache_bytes,
        free_bytes_min: settings.free_bytes_min,
        ..SledOptions::new(&settings.path)
    }
}

async fn open_store(snapshot: &Snapshot, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, StartError> {
    Ok(Arc::new(open_engine(snapshot, clock, false).await?))
}

/// Opens the store of a configuration for `doctor`, as a daemon would; with `recount` also where its totals are lost.
pub async fn open_for_upkeep(snapshot: &Snapshot, recount: bool) -> Result<Arc<dyn Upkeep>, OpenError> {
    Ok(Arc::new(open_engine(snapshot, Arc::new(SystemClock), recount).await?))
}

async fn open_engine(
    snapshot: &Snapshot,
    clock: Arc<dyn Clock>,
    recount: bool,
) -> Result<SledStore, OpenError> {
    let options = SledOptions { recount, ..sled_options(&snapshot.store) };
    let opening = tokio::task::spawn_blocking(move || SledStore::open(&options, clock));
    opening.await.expect("opening catches its own panics")
}

async fn take_back_leases(store: &dyn Store) -> Result<(), StartError> {
    let interrupted = store.take_back_leases().await?;
    if interrupted > 0 {
        warn!(interrupted, "the process before ended in the middle of attempts: they are made again");
    }
    Ok(())
}

async fn store_failure(store: &dyn Store) -> String {
    loop {
        if let Health::Failed { why } = store.health() {
            return why;
        }
        tokio::time::sleep(HEALTH_POLL).await;
    }
}
