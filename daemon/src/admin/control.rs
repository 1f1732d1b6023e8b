//! What the operator API asks of the running daemon beyond its store; answered by `app`, which holds the stages.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::dry_run::{DryRunRequest, DryRunView};
use super::explain::ExplainView;
use super::plugins::{LibraryRecordView, LibraryReload, PluginChangeView};
use super::rules::{MatchedView, ReplayView};
use super::view::{HandlerView, RefusalView};
use crate::model::event::Event;
use crate::model::ids::EventId;
use crate::store::StoreError;

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

    /// Why the daemon should be started again when it suits.
    fn restart_asked(&self) -> Option<String>;

    /// Why each rule that runs takes this event or does not.
    async fn explain(&self, event: Event) -> ExplainView;

    /// How often each rule that runs took an event, in file order; the default last.
    fn rules(&self) -> Vec<MatchedView>;

    /// Routes one page of unrouted events by the rules that run.
    async fn replay_unrouted(&self, after: Option<EventId>) -> Result<ReplayView, StoreError>;

    /// What a candidate configuration would do with stored events.
    async fn dry_run(&self, request: DryRunRequest) -> Result<DryRunView, Refused>;

    /// Replaces what runs by what the request names.
    async fn reload(&self, request: ReloadRequest) -> Result<ReloadView, Refused>;

    /// Has the library that stands at a plugin's path now take the place of the one that runs, or a share beside it.
    async fn reload_plugin(&self, plugin: &str, request: LibraryReload) -> Result<PluginChangeView, Refused>;

    /// Has a library that has a share take the place of the one that it runs beside.
    async fn promote_plugin(&self, plugin: &str, by: &str) -> Result<PluginChangeView, Refused>;

    /// Has a library that ran before (the one whose hash begins so, or the last) take the place of the one that runs; ends
    /// a canary where one runs.
    async fn roll_back_plugin(
        &self,
        plugin: &str,
        to: Option<&str>,
        by: &str,
    ) -> Result<PluginChangeView, Refused>;

    /// Which library took whose place, newest first.
    async fn library_record(&self) -> Vec<LibraryRecordView>;

    /// The kept snapshots, newest first.
    async fn kept(&self) -> Vec<KeptView>;

    /// One kept snapshot with its files; `None` where none, or more than one, begins so.
    async fn kept_files(&self, hash: &str) -> Option<KeptFilesView>;
}

/// What a reload takes, and what it must show first.
#[derive(Debug, Clone, Default)]
pub struct ReloadRequest {
    /// The kept snapshot whose hash begins so; without it the files.
    pub kept: Option<String>,
    /// `last=30d`: it is tried against these events first.
    pub against: Option<String>,
    /// How many of those may go elsewhere; more refuse the reload.
    pub changes_max: u64,
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
    /// Plugins of which a new library gets the configured share first, beside the one that runs.
    #[serde(default)]
    pub canaries: Vec<String>,
    /// Handlers that deliveries wait for and that the configuration does not name.
    pub waiting_for_nobody: Vec<WaitingView>,
    /// What is allowed and probably not meant, as `hookyard check` shows it.
    pub warnings: Vec<String>,
    /// What the dry run said, where one was demanded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dry_run: Option<DryRunView>,
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
