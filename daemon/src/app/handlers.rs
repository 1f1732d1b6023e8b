//! The handlers that run: for each a host (its plugin in a child process, or inside the daemon) and a loop of dispatch.
//!
//! A start and a reload go the same way. [`Handlers::prepare`] starts hosts for what is new or changed, beside those that
//! run; where one cannot start, the others are stopped again and nothing has changed. [`Handlers::adopt`] cannot fail: it
//! begins the new loops, and tells the old ones to lease no more. An old loop finishes the attempts that it began, with the
//! host that it had, and then that host is stopped. What is pending is leased by whoever holds the handler's name then; a
//! handler that is gone leaves its deliveries in the store, where they wait and are shown. `trial` has what is particular to
//! a canary: two hosts under one loop.

mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::StartError;
use super::handler_view::{library, view};
use super::library_record::Library;
use crate::admin::view::HandlerView;
use crate::config::{Handler, Plugin, Snapshot};
use crate::dispatch::services::StoreServices;
use crate::dispatch::{Attempts, HandlerLoop, Lane};
use crate::host::{Host, HostSpec, Services, Trust, mapped};
use crate::model::clock::Clock;
use crate::model::ids::{HandlerName, PluginName};
use crate::model::limits::{INLINE_LIBRARIES_LEFT_MAX, SETTLING_MAX};
use crate::store::Store;
use trial::OnTrial;
pub(super) use trial::{PluginTrial, Side};

/// The directory, below the store's, where libraries are kept by their content.
pub const LIBRARY_CACHE: &str = "plugins";
/// What a host gets to end by itself after the last attempt.
const HOST_STOP_GRACE: Duration = Duration::from_secs(2);

/// Every handler, by name.
#[derive(Debug)]
pub(super) struct Handlers {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    work: CancellationToken,
    tasks: TaskTracker,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<HandlerName, Running>,
    /// One for each name that ever ran here: a handler that comes back meets what it left under way.
    lanes: BTreeMap<HandlerName, Lane>,
    /// Hosts that finish what they began.
    draining: Vec<(HandlerName, Arc<Host>)>,
}

/// One handler's loop and host.
#[derive(Debug)]
struct Running {
    handler: Handler,
    host: Arc<Host>,
    /// A new library beside it.
    on_trial: Option<OnTrial>,
    stop: CancellationToken,
    finished: JoinHandle<()>,
}

/// Which libraries are to run.
#[derive(Debug)]
pub(super) struct Libraries<'a> {
    /// Plugins that were rolled back, or have a canary, with the kept library that runs in place of the configured one.
    pub(super) held: &'a BTreeMap<PluginName, Held>,
    /// Only handlers of this plugin get another host.
    pub(super) only: Option<&'a PluginName>,
}

/// A library that runs in place of the configured one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) library: PathBuf,
    pub(super) sha256: String,
    /// Why the configured one does not run, where more is known than that somebody said so.
    pub(super) why: Option<String>,
}

/// What a snapshot's handlers need, started and not yet used.
#[derive(Debug)]
pub(super) struct Prepared(Vec<(Handler, NextHost)>);

#[derive(Debug)]
enum NextHost {
    Same(Arc<Host>),
    Fresh(Arc<Host>),
}

impl Handlers {
    /// None yet. Loops run in `tasks` until `work` ends.
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        work: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self { store, clock, work, tasks, state: Mutex::default() }
    }

    /// Starts, side by side, the hosts that `snapshot` needs and that do not run already.
    pub(super) async fn prepare(
        &self,
        snapshot: &Snapshot,
        libraries: Libraries<'_>,
    ) -> Result<Prepared, StartError> {
        let services: Arc<dyn Services> = Arc::new(StoreServices(Arc::clone(&self.store)));
        let mut starting = JoinSet::new();
        for handler in snapshot.handlers.values().cloned() {
            let running = self.state().running.get(&handler.name).map(|running| Arc::clone(&running.host));
            let spec = spec(snapshot, &handler, libraries.held.get(&handler.plugin));
            let services = Arc::clone(&services);
            let left_alone = libraries.only.is_some_and(|plugin| *plugin != handler.plugin);
            if left_alone && running.is_none() {
                continue;
            }
            starting.spawn(async move {
                let host = match running {
                    Some(running) if left_alone => Ok(NextHost::Same(running)),
                    running => next_host(running, spec, services).await,
                };
                (handler, host)
            });
        }
        let (mut prepared, mut failed) = (Prepared(Vec::new()), None);
        for (handler, host) in starting.join_all().await {
            match host {
                Ok(host) => prepared.0.push((handler, host)),
                Err(source) => {
                    failed = Some(StartError::Handler { handler: handler.name.to_string(), source });
                }
            }
        }
        match failed {
            None => Ok(prepared),
            Some(error) => {
                prepared.abandon().await;
                Err(error)
            }
        }
    }

    /// Runs what was prepared, and drains what it takes the place of.
    pub(super) fn adopt(&self, prepared: Prepared) {
        let mut state = self.state();
        let mut before = std::mem::take(&mut state.running);
        for (handler, host) in prepared.0 {
            let name = handler.name.clone();
            let running = match (before.remove(&name), host) {
                (Some(same), NextHost::Same(_)) if same.handler.retry == handler.retry => {
                    Running { handler, ..same }
                }
                (earlier, NextHost::Same(host)) => {
                    let on_trial = earlier.and_then(|earlier| self.end_loop(&mut state, earlier, []).1);
                    self.begin(&mut state, handler, host, on_trial)
                }
                (earlier, NextHost::Fresh(host)) => {
                    if let Some(earlier) = earlier {
                        self.retire(&mut state, earlier);
                    }
                    self.begin(&mut state, handler, host, None)
                }
            };
            state.running.insert(name, running);
        }
        for gone in before.into_values() {
            info!(handler = %gone.handler.name, "the handler is gone: it finishes what it began");
            self.retire(&mut state, gone);
        }
    }

    /// How each is, and who of those before still finishes.
    pub(super) fn views(&self) -> Vec<HandlerView> {
        let mut state = self.state();
        state.draining.retain(|(_, host)| !host.is_stopped());
        state
            .running
            .iter()
            .map(|(name, running)| {
                let before = state.draining.iter().filter(|(earlier, _)| earlier == name);
                let before: Vec<usize> = before.map(|(_, host)| host.status().hanging).collect();
                let (draining, hung) = (before.len(), before.iter().sum::<usize>());
                let plugin = running.handler.plugin.to_string();
                let canary = running.on_trial.as_ref().map(|on_trial| on_trial.view(name));
                let view = view(name, &running.host);
                HandlerView { draining, plugin, canary, hanging: view.hanging + hung, ..view }
            })
            .collect()
    }

    /// The library that runs of each plugin.
    pub(super) fn libraries(&self) -> BTreeMap<PluginName, Library> {
        let state = self.state();
        let of = |running: &Running| (running.handler.plugin.clone(), library(&running.host));
        state.running.values().map(of).collect()
    }

    /// Why the daemon should be started again when it suits: libraries that ran inside it are not unloaded.
    pub(super) fn restart_asked(&self) -> Option<String> {
        let state = self.state();
        let used = state.running.values().flat_map(Running::hosts).map(|host| host.status().sha256).collect();
        let left = mapped().difference(&used).count();
        (left >= INLINE_LIBRARIES_LEFT_MAX).then(|| {
            format!(
                "{left} libraries of plugins that ran inside the daemon are still mapped into it, and no handler uses them"
            )
        })
    }

    /// The hashes of the libraries that run, or still finish: a child that dies is started from them.
    pub(super) fn libraries_in_use(&self) -> BTreeSet<String> {
        self.state().hosts().map(|host| host.status().sha256).collect()
    }

    /// Stops every host, those that drain too, once their loops have ended.
    pub(super) async fn stop(&self) {
        let mut stopping = JoinSet::new();
        let hosts: Vec<Arc<Host>> = self.state().hosts().cloned().collect();
        for host in hosts {
            stopping.spawn(async move { host.stop(HOST_STOP_GRACE).await });
        }
        stopping.join_all().await;
    }

    fn begin(
        &self,
        state: &mut State,
        handler: Handler,
        host: Arc<Host>,
        on_trial: Option<OnTrial>,
    ) -> Running {
        // Deliveries of a serial plugin wait in the store, not in front of its workers.
        let width = on_trial.iter().map(|it| it.host.width()).fold(host.width(), usize::min);
        let lane = state.lanes.entry(handler.name.clone()).or_insert_with(|| Lane::new(width)).clone();
        lane.resize(width);
        let stop = self.work.child_token();
        let handler_loop = HandlerLoop {
            name: handler.name.clone(),
            attempts: match &on_trial {
                None => Arc::clone(&host) as Arc<dyn Attempts>,
                Some(on_trial) => on_trial.beside(&host, &handler.retry),
            },
            lane,
            timeout: handler.timeout,
            retry: handler.retry,
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            settling: Arc::new(Semaphore::new(SETTLING_MAX)),
        };
        let finished = self.tasks.spawn(handler_loop.run(stop.clone()));
        Running { handler, host, on_trial, stop, finished }
    }

    /// The loop finishes, then these hosts end. Its own, which it returns, go on under another where they are not among them.
    fn end_loop(
        &self,
        state: &mut State,
        earlier: Running,
        ending: impl IntoIterator<Item = Arc<Host>>,
    ) -> (Arc<Host>, Option<OnTrial>) {
        let Running { handler, host, on_trial, stop, finished } = earlier;
        stop.cancel();
        state.draining.retain(|(_, host)| !host.is_stopped());
        let ending: Vec<Arc<Host>> = ending.into_iter().collect();
        state.draining.extend(ending.iter().map(|host| (handler.name.clone(), Arc::clone(host))));
        self.tasks.spawn(async move {
            drop(finished.await);
            for host in ending {
                host.stop(HOST_STOP_GRACE).await;
                info!(handler = %handler.name, "the host before has finished and is stopped");
            }
        });
        (host, on_trial)
    }

    /// The loop finishes, then its hosts end.
    fn retire(&self, state: &mut State, earlier: Running) {
        let hosts: Vec<Arc<Host>> = earlier.hosts().cloned().collect();
        self.end_loop(state, earlier, hosts);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Those that run, and those that still finish.
    fn hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        self.running.values().flat_map(Running::hosts).chain(self.draining.iter().map(|(_, host)| host))
    }
}

impl Running {
    fn hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        std::iter::once(&self.host).chain(self.on_trial.iter().map(|on_trial| &on_trial.host))
    }
}

impl Prepared {
    /// The handlers that get another host than they had.
    pub(super) fn fresh(&self) -> impl Iterator<Item = &HandlerName> {
        let fresh = |host: &NextHost| matches!(host, NextHost::Fresh(_));
        self.0.iter().filter(move |(_, host)| fresh(host)).map(|(handler, _)| &handler.name)
    }

    /// The library of the fresh hosts, where they are all of one plugin; empty where there are none.
    pub(super) fn fresh_hash(&self) -> String {
        let hash = |(_, host): &(Handler, NextHost)| match host {
            NextHost::Fresh(host) => Some(host.status().sha256),
            NextHost::Same(_) => None,
        };
        self.0.iter().find_map(hash).unwrap_or_default()
    }

    /// Stops what was started for nothing.
    pub(super) async fn abandon(self) {
        let mut stopping = JoinSet::new();
        for (_, host) in self.0 {
            if let NextHost::Fresh(host) = host {
                stopping.spawn(async move { host.stop(Duration::ZERO).await });
            }
        }
        stopping.join_all().await;
    }
}

async fn next_host(
    running: Option<Arc<Host>>,
    spec: HostSpec,
    services: Arc<dyn Services>,
) -> Result<NextHost, crate::host::HostError> {
    if let Some(running) = running
        && !running.differs_from(&spec).await?
    {
        return Ok(NextHost::Same(running));
    }
    Host::start(spec, services).await.map(Arc::new).map(NextHost::Fresh)
}

/// What the plugin's file has to show where `user` runs the daemon.
pub(crate) fn trust(plugin: &Plugin, user: u32) -> Trust {
    Trust {
        sha256: plugin.sha256.clone(),
        owner: plugin.owner_counts.then_some(user),
        signed_by: plugin.signed_by.clone(),
    }
}

fn spec(snapshot: &Snapshot, handler: &Handler, held: Option<&Held>) -> HostSpec {
    let plugin = &snapshot.plugins[&handler.plugin];
    let (library, trust) = match held {
        Some(held) => (held.library.clone(), Trust { sha256: vec![held.sha256.clone()], ..Trust::default() }),
        None => (plugin.path.clone(), trust(plugin, rustix::process::geteuid().as_raw())),
    };
    HostSpec {
        handler: handler.name.clone(),
        library,
        trust,
        cache: snapshot.store.path.join(LIBRARY_CACHE),
        settings_json: handler.settings.to_string(),
        secrets: handler.secrets.clone(),
        concurrency: handler.concurrency,
        isolation: handler.isolation,
        processes: handler.processes,
        timeout: handler.timeout,
        confine: handler.confine.clone(),
        http: handler.http.clone().into(),
    }
}
