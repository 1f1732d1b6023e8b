//! Whether this installation keeps the promises: the disk's syncs, the clock, who may read and write what, the store's
//! rows, the plugins, the configuration.
//!
//! Called by `hookyard doctor`. It changes nothing but what opening the store changes (as a start of the daemon would), and
//! with `repair` the store's derived rows. A kill at any moment leaves nothing behind: the file that the disk is measured
//! with has no name, and a repair that is cut short is done again.
//!
//! Each part is judged by a plain function over what was read, so that every verdict has its test: `mount` (what the
//! file system promises), `disk` (what the device does), `clock`, `modes`, `accounts`, `plugins`, `rows` (the store), `settings`.

mod accounts;
mod clock;
mod device;
mod disk;
mod modes;
mod mount;
mod plugins;
mod report;
mod room;
mod rows;
mod settings;

use std::path::Path;

pub use report::{Check, Report, Verdict};

use crate::admin::view::StatusView;
use crate::app::runtime_file::RuntimeFile;
use crate::config::Loaded;
use crate::model::clock::UnixMillis;

/// What is to be looked at.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub config: &'a Path,
    /// As `serve --dev` would: secrets that are not set and libraries without a pin are no faults.
    pub dev: bool,
    /// Write the store's derived rows anew.
    pub repair: bool,
    /// The value of an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    pub daemon: &'a Daemon,
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("config", &self.config)
            .field("dev", &self.dev)
            .field("repair", &self.repair)
            .finish_non_exhaustive()
    }
}

/// What the daemon that this configuration starts said, where it was asked.
#[derive(Debug)]
pub enum Daemon {
    Answers {
        status: Box<StatusView>,
        newest_event: Option<UnixMillis>,
    },
    /// Why not.
    Silent(String),
}

impl Daemon {
    fn status(&self) -> Option<&StatusView> {
        match self {
            Self::Answers { status, .. } => Some(status),
            Self::Silent(_) => None,
        }
    }
}

/// Looks at everything; `tell` hears each line as soon as it is known.
pub async fn examine(request: Request<'_>, tell: &mut dyn FnMut(&Check)) -> Report {
    let mut report = Report::default();
    let mut add = |checks: Vec<Check>| {
        for check in checks {
            tell(&check);
            report.add(check);
        }
    };
    let (loaded, checks) = settings::check(&request);
    add(checks);
    match loaded {
        Some(loaded) => parts(&request, &loaded, &mut add).await,
        None => add(vec![Check::skipped(
            "all else",
            "the disk, the clock, the modes, the store and the plugins are named by the configuration",
            "mend the configuration and run this again",
        )]),
    }
    report
}

async fn parts(request: &Request<'_>, loaded: &Loaded, add: &mut dyn FnMut(Vec<Check>)) {
    let snapshot = &loaded.snapshot;
    let store = snapshot.store.path.as_path();
    let running = request.daemon.status().and_then(|_| RuntimeFile::read(store)).map(|runtime| runtime.pid);
    add(mount::check(store));
    add(device::check(store));
    add(disk::check(store));
    add(disk::preloads(running));
    add(room::check(store, snapshot.store.free_bytes_min));
    add(room::descriptors(snapshot.server.connections_max, running));
    add(modes::check(loaded));
    add(accounts::check(snapshot, running).await);
    for plugin in snapshot.plugins.values() {
        add(plugins::check(plugin, snapshot, request.daemon).await);
    }
    let (newest, checks) = rows::check(snapshot, request).await;
    add(checks);
    add(clock::check(snapshot, newest));
}
