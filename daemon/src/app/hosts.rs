//! The hosts of a snapshot: one for each handler.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::admin::HandlerStatus;
use crate::admin::view::HandlerView;
use crate::config::{Handler, Snapshot};
use crate::dispatch::services::StoreServices;
use crate::host::{Host, HostSpec, Services};
use crate::model::ids::HandlerName;
use crate::store::Store;

use super::StartError;

/// The directory, below the store's, where libraries are kept by their content.
pub const LIBRARY_CACHE: &str = "plugins";

/// Every handler's host, by name.
#[derive(Debug)]
pub(super) struct Hosts(BTreeMap<HandlerName, Arc<Host>>);

impl Hosts {
    /// Starts them side by side; when one cannot start, the others are stopped again.
    pub(super) async fn start(snapshot: &Snapshot, store: Arc<dyn Store>) -> Result<Self, StartError> {
        let services: Arc<dyn Services> = Arc::new(StoreServices(store));
        let mut starting = JoinSet::new();
        for handler in snapshot.handlers.values() {
            let (name, spec, services) =
                (handler.name.clone(), spec(snapshot, handler), Arc::clone(&services));
            starting.spawn(async move { (name, Host::start(spec, services).await) });
        }
        let mut hosts = Self(BTreeMap::new());
        let mut failed = None;
        for (name, started) in starting.join_all().await {
            match started {
                Ok(host) => drop(hosts.0.insert(name, Arc::new(host))),
                Err(source) => failed = Some(StartError::Handler { handler: name.to_string(), source }),
            }
        }
        match failed {
            None => Ok(hosts),
            Some(error) => {
                hosts.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&HandlerName, &Arc<Host>)> {
        self.0.iter()
    }

    pub(super) async fn stop(&self, grace: Duration) {
        let mut stopping = JoinSet::new();
        for host in self.0.values() {
            let host = Arc::clone(host);
            stopping.spawn(async move { host.stop(grace).await });
        }
        stopping.join_all().await;
    }
}

fn spec(snapshot: &Snapshot, handler: &Handler) -> HostSpec {
    let plugin = &snapshot.plugins[&handler.plugin];
    HostSpec {
        handler: handler.name.clone(),
        library: plugin.path.clone(),
        sha256: plugin.sha256.clone(),
        cache: snapshot.store.path.join(LIBRARY_CACHE),
        settings_json: handler.settings.to_string(),
        secrets: handler.secrets.clone(),
        concurrency: handler.concurrency,
        timeout: handler.timeout,
    }
}

impl HandlerStatus for Hosts {
    fn handlers(&self) -> Vec<HandlerView> {
        self.0.iter().map(|(name, host)| view(name, host)).collect()
    }
}

fn view(name: &HandlerName, host: &Host) -> HandlerView {
    let status = host.status();
    HandlerView {
        handler: name.to_string(),
        plugin_id: status.plugin.to_string(),
        plugin_version: status.version,
        sha256: status.sha256,
        up: status.up,
        why_down: status.why_down.unwrap_or_default(),
        pid: status.pid,
        in_flight: status.calls_in_flight,
        restarts: status.restarts,
        crashes: status.crashes,
        // Known to the store; `admin` fills it in.
        waiting: 0,
    }
}
