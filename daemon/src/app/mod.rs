//! The composition root: a checked snapshot in, a running daemon out.
//!
//! Order of the start: bind the operator listener, open the store, serve the door, start a host for each handler, serve
//! operators, take back the leases of the process before, then dispatch and route. The door is early because what it takes
//! is safe whatever comes after; a large store is still being read then, and everything behind the door waits for that.
//! Order of the end: close the door and answer what it took, finish the attempts under way, stop the hosts, close the
//! store. A kill at any point of either loses nothing: the store is the only state.

pub mod descriptors;
mod hosts;
pub mod runtime_file;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::admin::{self, Admin, Facts};
use crate::config::{Snapshot, StoreSettings};
use crate::dispatch::HandlerLoop;
use crate::host::HostError;
use crate::ingest::{Door, DoorError, DoorSettings, DoorSource, RateLimit, TlsFiles};
use crate::model::clock::{Clock, SystemClock};
use crate::model::limits::SETTLING_MAX;
use crate::retain;
use crate::route::{self, RoutingTable};
pub use crate::store::sled::OpenError;
pub use crate::store::sled::{CompactError, CompactPhase, CompactProgress, Compacted};
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Health, Store, Upkeep};
use crate::verify::Scheme;
use crate::verify::stripe::{SchemeError, StripeScheme};
use hosts::Hosts;
pub use hosts::LIBRARY_CACHE;
use runtime_file::RuntimeFile;

/// How often the store's health is looked at: a failed store ends the daemon within this time.
const HEALTH_POLL: Duration = Duration::from_millis(250);
/// What the hosts get to end by themselves after the last attempt.
const HOST_STOP_GRACE: Duration = Duration::from_secs(2);

/// What operators' requests under way get at the end.
const ADMIN_CLOSE_MAX: Duration = Duration::from_secs(1);
/// A disk that hangs must not keep the process.
const STORE_CLOSE_MAX: Duration = Duration::from_secs(10);

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    door: SocketAddr,
    admin: Option<SocketAddr>,
    drain: Duration,
    store: Arc<dyn Store>,
    hosts: Arc<Hosts>,
    runtime_file: RuntimeFile,
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
    /// Starts everything; on an error nothing is left running.
    pub async fn start(snapshot: Snapshot, dev: bool) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let admin_listener = bind_admin(&snapshot).await?;
        let store = open_store(&snapshot, Arc::clone(&clock)).await?;
        let door = bind_door(&snapshot, Arc::clone(&store), Arc::clone(&clock)).await?;
        let stop = Stop::default();
        let (door_addr, drain) = (door.local_addr(), snapshot.server.drain_timeout);
        stop.door_tasks.spawn(door.serve(stop.door.clone(), drain));
        info!(door = %door_addr, "the door is open");
        match start_behind(snapshot, dev, door_addr, admin_listener, &store, &clock, &stop).await {
            Ok((admin, hosts, runtime_file)) => {
                info!(door = %door_addr, ?admin, "listening");
                Ok(Self { door: door_addr, admin, drain, store, hosts, runtime_file, stop })
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
        if tokio::time::timeout(self.drain, close_stage(self.stop.work, self.stop.work_tasks)).await.is_err()
        {
            warn!(drain = ?self.drain, "attempts were still under way after the drain time: they are made again");
        }
        self.hosts.stop(HOST_STOP_GRACE).await;
        // A client that holds half a request open must not keep the process.
        drop(
            tokio::time::timeout(ADMIN_CLOSE_MAX, close_stage(self.stop.admin, self.stop.admin_tasks)).await,
        );
        self.runtime_file.remove();
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

/// Starts everything behind the door.
async fn start_behind(
    snapshot: Snapshot,
    dev: bool,
    door: SocketAddr,
    admin_listener: Option<(TcpListener, SecretString)>,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    stop: &Stop,
) -> Result<(Option<SocketAddr>, Arc<Hosts>, RuntimeFile), StartError> {
    let hosts = Arc::new(Hosts::start(&snapshot, Arc::clone(store)).await?);
    let admin = admin_listener.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
    let runtime_file = RuntimeFile::write(&snapshot, dev, door, admin)?;
    if let Some((listener, token)) = admin_listener {
        let facts =
            Facts { version: env!("CARGO_PKG_VERSION"), snapshot: snapshot.hash.to_string(), door, dev };
        let admin = Admin { store: Arc::clone(store), token, facts, handlers: Arc::clone(&hosts) as _ };
        let serving = admin::serve(listener, admin, stop.admin.clone());
        stop.admin_tasks.spawn(async move {
            if let Err(error) = serving.await {
                error!(%error, "the operator listener ended");
            }
        });
    }
    take_back_leases(&**store).await?;
    tell_of_the_unnamed(&**store, &snapshot).await?;
    for (handler, host) in hosts.iter() {
        let handler = &snapshot.handlers[handler];
        let handler_loop = HandlerLoop {
            name: handler.name.clone(),
            attempts: Arc::clone(host) as Arc<dyn crate::dispatch::Attempts>,
            // Deliveries of a serial plugin wait in the store, not in front of its one worker.
            concurrency: if host.status().serial { 1 } else { handler.concurrency },
            timeout: handler.timeout,
            retry: handler.retry,
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            under_way: Arc::default(),
            settling: Arc::new(Semaphore::new(SETTLING_MAX)),
        };
        stop.work_tasks.spawn(handler_loop.run(stop.work.clone()));
    }
    let table = Arc::new(RoutingTable { snapshot: snapshot.hash, rules: snapshot.rules });
    stop.work_tasks.spawn(route::run(Arc::clone(store), table, stop.work.clone()));
    let retaining =
        retain::run(Arc::clone(store), Arc::clone(clock), snapshot.store.retention, stop.work.clone());
    stop.work_tasks.spawn(retaining);
    Ok((admin, hosts, runtime_file))
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

async fn bind_door(
    snapshot: &Snapshot,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> Result<Door, StartError> {
    let server = &snapshot.server;
    let settings = DoorSettings {
        listen: server.listen,
        tls: server
            .tls
            .as_ref()
            .map(|tls| TlsFiles { certificate: tls.certificate.clone(), key: tls.key.clone() }),
        body_bytes_max: server.body_bytes_max,
        connections_max: at_least_one(descriptors::connections_max(server.connections_max)),
        in_flight_max: at_least_one(server.in_flight_max),
        header_timeout: server.header_timeout,
        body_timeout: server.body_timeout,
        idle_timeout: server.idle_timeout,
    };
    let sources = snapshot.sources.iter().map(door_source).collect::<Result<Vec<_>, _>>()?;
    Ok(Door::bind(settings, sources, store, clock).await?)
}

fn door_source(source: &crate::config::Source) -> Result<DoorSource, StartError> {
    let crate::config::Scheme::Stripe { secrets, tolerance } = &source.scheme;
    let scheme = StripeScheme::new(secrets.clone(), *tolerance)
        .map(Scheme::Stripe)
        .map_err(|error| StartError::Scheme { source_name: source.name.to_string(), source: error })?;
    let rate = source.rate_limit.map(|rate| RateLimit { per_second: rate.per_second, burst: rate.burst });
    Ok(DoorSource { name: source.name.clone(), path: source.path.clone(), scheme, rate })
}

/// The configuration's check has refused 0 already.
fn at_least_one(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}

async fn take_back_leases(store: &dyn Store) -> Result<(), StartError> {
    let interrupted = store.take_back_leases().await?;
    if interrupted > 0 {
        warn!(interrupted, "the process before ended in the middle of attempts: they are made again");
    }
    Ok(())
}

/// Deliveries of a handler that was renamed or taken out of the configuration wait for it: somebody must know.
async fn tell_of_the_unnamed(store: &dyn Store, snapshot: &Snapshot) -> Result<(), StartError> {
    for (handler, waiting) in store.waiting_by_handler().await? {
        if !snapshot.handlers.contains_key(&handler) {
            error!(%handler, waiting, "deliveries wait for a handler that the configuration does not name");
        }
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
