//! Why a host did not start: sentences for the operator, made at the boundary where the cause is known.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hookyard_egress::tls::TlsError;

use super::account::AccountError;
use super::signature::Unsigned;

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("the library {} cannot be read; is its `path` right, and has it been built?", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the library {} could be changed by others: {why}", path.display())]
    Exposed { path: PathBuf, why: String },
    #[error("the library {} is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("the library {} is not signed by who is trusted", path.display())]
    Unsigned {
        path: PathBuf,
        #[source]
        reason: Unsigned,
    },
    #[error("the library {} is {bytes} bytes; at most {max} are loaded", path.display())]
    TooLarge { path: PathBuf, bytes: u64, max: u64 },
    #[error("the library {} cannot be loaded here: {why}", path.display())]
    NotALibrary { path: PathBuf, why: String },
    #[error(
        "the library {} has SHA-256 {found} and its `sha256` says {pinned}: it is not the file that was pinned; \
         pin the new one if it is meant (`hookyard plugin lock`)",
        path.display()
    )]
    PinMismatch { path: PathBuf, pinned: String, found: String },
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("the plugin cache {} cannot be used: {what}", path.display())]
    Cache { path: PathBuf, what: &'static str, source: io::Error },
    #[error(
        "the plugin cache {} is on a file system mounted noexec, so no library can be loaded from it; \
         move the store's `path` to one that is not",
        path.display()
    )]
    NoExec { path: PathBuf },
    #[error("the plugin host {} cannot be started", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("the plugin host is another build: it said {said:?} and this is {ours:?}")]
    OtherBuild { said: String, ours: &'static str },
    #[error("{why}")]
    Load { why: String },
    #[error("the plugin does not take the handler's settings: {why}")]
    Settings { why: String },
    #[error("the plugin could not be made: {why}")]
    Create { why: String },
    #[error("the plugin was not ready within {limit:?}; its host was stopped")]
    Slow { limit: Duration },
    #[error(
        "the plugin was not ready within {limit:?}; nobody can end it inside the daemon, so it may go on there until the \
         daemon is started again"
    )]
    SlowInside { limit: Duration },
    #[error(
        "the plugin says {flag}: {meaning}. It cannot run inside the daemon; write isolation = \"process\" in its handler"
    )]
    NeedsProcess { flag: &'static str, meaning: &'static str },
    #[error("a thread for the plugin could not be started")]
    Thread(#[source] io::Error),
    #[error("the plugin host ended before the plugin was ready: {what}")]
    Died { what: String },
    #[error("the handler's settings are {bytes} bytes of JSON; at most {max} fit")]
    SettingsTooLarge { bytes: usize, max: u32 },
    #[error("the handler's `http` cannot be used")]
    Http(#[source] TlsError),
    #[error("a task of the daemon failed")]
    Task(#[source] tokio::task::JoinError),
    #[error("the host was stopped while it started")]
    Stopped,
}

impl HostError {
    /// Whether the same configuration may start another time: what the plugin needs was not there yet.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Spawn { .. }
                | Self::Create { .. }
                | Self::Slow { .. }
                | Self::SlowInside { .. }
                | Self::Thread(_)
                | Self::Died { .. }
                | Self::Task(_)
                | Self::Stopped
        )
    }
}
