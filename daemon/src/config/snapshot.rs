//! What a checked configuration says, and every default that it has where the files say nothing.
//!
//! Made by `check`, shared by every stage, never changed: a reload makes a new one.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::outline::Outline;
use crate::model::canary::Share;
use crate::model::confinement::Confinement;
use crate::model::http_access::HttpAccess;
use crate::model::ids::{HandlerName, PluginName, SnapshotHash, SourceName};
use crate::model::isolation::Isolation;
use crate::model::retention::Retention;
use crate::model::retry::RetrySchedule;
use crate::model::signed_by::SignedBy;
use crate::rules::{Livemode, Path, RuleSet};

/// Only this machine: whoever wants the world to come in says so.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));
/// As long as a handler may take by default: a stop then cuts no attempt.
pub const DRAIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Beside the process that is started, as every other path of a configuration.
pub const STORE_PATH_DEFAULT: &str = "var/hookyard";
/// What Stripe's own libraries use.
pub const TOLERANCE_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// Attempts of one handler at the same time.
pub const CONCURRENCY_DEFAULT: usize = 8;
/// One host process serves no more calls at once.
pub const CONCURRENCY_MAX: usize = 64;
/// Processes of one handler where nothing else is asked.
pub const PROCESSES_DEFAULT: usize = 1;
/// Each is a whole plugin, with its memory and its connections to a database; beyond this a second machine is due.
pub const PROCESSES_MAX: usize = 16;
/// Database, mail and a slow far side.
pub const HANDLER_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// An immutable, checked configuration generation.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Over what the files say, comments and order of keys aside. Secrets are not in it: a rolled secret behind an
    /// unchanged reference leaves the hash as it was.
    pub hash: SnapshotHash,
    /// What the hash is over, part by part.
    pub outline: Outline,
    pub server: Server,
    pub store: StoreSettings,
    /// In the order of their names.
    pub sources: Vec<Source>,
    pub plugins: BTreeMap<PluginName, Plugin>,
    pub handlers: BTreeMap<HandlerName, Handler>,
    pub rules: Arc<RuleSet>,
}

/// `[server]`
#[derive(Debug, Clone)]
pub struct Server {
    pub listen: SocketAddr,
    /// `None`: no operator listener.
    pub admin: Option<Admin>,
    /// `None`: plain HTTP, for a proxy before it.
    pub tls: Option<Tls>,
    pub body_bytes_max: usize,
    pub connections_max: usize,
    pub in_flight_max: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub idle_timeout: Duration,
    /// How long a stop waits for running attempts.
    pub drain_timeout: Duration,
}

/// `[server] admin`
#[derive(Debug, Clone)]
pub struct Admin {
    pub listen: SocketAddr,
    pub token: SecretString,
}

/// `[server] tls`: PEM files, readable when the configuration was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// A directory, made when it is not there.
    pub path: PathBuf,
    pub cache_bytes: u64,
    /// With less free space the store refuses new events.
    pub free_bytes_min: u64,
    /// How long what is finished is kept.
    pub retention: Retention,
}

/// `[source.x]`
#[derive(Debug, Clone)]
pub struct Source {
    pub name: SourceName,
    /// The URL's path, with its leading `/`; no two sources have the same.
    pub path: String,
    pub scheme: Scheme,
    pub livemode: Livemode,
    /// What is taken out of its bodies before they are stored, and all below.
    pub redact: Vec<Path>,
    pub rate_limit: Option<RateLimit>,
}

/// How a source's requests are signed.
#[derive(Debug, Clone)]
pub enum Scheme {
    Stripe {
        /// None blank. At least one, but under `--dev`, where an unset variable is left out.
        secrets: Vec<SecretString>,
        /// Never zero.
        tolerance: Duration,
    },
}

/// `[source.x] rate_limit`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

/// `[plugin.x]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    pub name: PluginName,
    pub path: PathBuf,
    /// What its file may be: 64 hex digits in lower case each. Empty only under `--dev`.
    pub sha256: Vec<String>,
    /// Nobody but root and the daemon's user may be able to change its file. Not under `--dev`.
    pub owner_counts: bool,
    /// Whose signature its file has to bear.
    pub signed_by: Option<SignedBy>,
    /// The share of new events that a new library gets first, where `plugin reload` is not told otherwise.
    pub canary: Option<Share>,
}

/// `[handler.x]`
#[derive(Debug, Clone)]
pub struct Handler {
    pub name: HandlerName,
    pub plugin: PluginName,
    /// 1 to [`CONCURRENCY_MAX`].
    pub concurrency: usize,
    pub isolation: Isolation,
    /// Of the same library and settings, which share the handler's calls. 1 to [`PROCESSES_MAX`], and no more than
    /// `concurrency`.
    pub processes: usize,
    /// How long one attempt may take.
    pub timeout: Duration,
    pub retry: RetrySchedule,
    /// An object, as the plugin gets it; its meaning is the plugin's.
    pub settings: serde_json::Value,
    /// What the plugin may ask for by name.
    pub secrets: BTreeMap<String, SecretString>,
    /// What its plugin may reach.
    pub confine: Option<Confinement>,
    /// What hookyard asks over HTTP for it.
    pub http: HttpAccess,
}
