//! What the operator API asks of the running daemon beyond its store; answered by `app`, which holds the stages.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::view::{HandlerView, RefusalView};

/// The running daemon, as operators may see and change it.
#[async_trait]
pub trait Control: Send + Sync + fmt::Debug + 'static {
    /// One row a handler, by name.
    fn handlers(&self) -> Vec<HandlerView>;

    /// The hash of the snapshot that runs.
    fn snapshot(&self) -> String;

    /// Whether a kept snapshot runs, and not what the files say.
    fn is_rolled_back(&self) -> bool;

    /// The last reload, where it was refused.
    fn reload_refused(&self) -> Option<RefusalView>;

    /// Replaces what runs by what the files say, or by the kept snapshot whose hash begins so.
    async fn reload(&self, kept: Option<String>) -> Result<ReloadView, Refused>;

    /// The kept snapshots, newest first.
    async fn kept(&self) -> Vec<KeptView>;

    /// One kept snapshot with its files; `None` where none, or more than one, begins so.
    async fn kept_files(&self, hash: &str) -> Option<KeptFilesView>;
}

/// Why something was refused; nothing has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// One sentence.
    pub error: String,
    /// The same for a terminal, with every fault.
    pub report: String,
    /// Each fault as `{severity, file, line, column, message, help}`.
    pub faults: serde_json::Value,
}

/// What a reload did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReloadView {
    pub before: String,
    pub snapshot: String,
    /// Empty where nothing changed.
    pub changes: Vec<ChangeView>,
    /// Handlers whose host was exchanged; the one before finishes what it began.
    pub new_hosts: Vec<String>,
    /// Handlers that deliveries wait for and that the configuration does not name.
    pub waiting_for_nobody: Vec<WaitingView>,
    /// What is allowed and probably not meant, as `hookyard check` shows it.
    pub warnings: Vec<String>,
}

/// One difference between two configurations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangeView {
    /// server, store, source, plugin, handler, rule, default.
    pub part: String,
    pub name: String,
    /// added, removed, changed, moved, secret rolled.
    pub how: String,
    /// All of it as a sentence.
    pub text: String,
}

/// Deliveries that wait for a handler.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WaitingView {
    pub handler: String,
    pub deliveries: u64,
}

/// A kept snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptView {
    pub snapshot: String,
    /// When it last began to run.
    pub began: String,
    pub running: bool,
    pub files: Vec<String>,
}

/// A kept snapshot with what its files said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptFilesView {
    pub snapshot: String,
    pub began: String,
    pub files: Vec<FileView>,
}

/// One file of a configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileView {
    pub path: String,
    pub text: String,
}
