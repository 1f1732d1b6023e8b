//! Exchanging one plugin's library while the daemon runs, and what was exchanged before.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::answer::{Failure, Pretty};
use super::view::HandlerView;

/// A plugin's library took another's place, or has a share beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginChangeView {
    pub plugin: String,
    /// plugin reload, plugin rollback, canary, promote, canary rollback.
    pub how: String,
    /// Of a canary: the share that it has, such as `5%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// The library that ran; of a canary, the one that it runs beside.
    pub before: String,
    /// The one that runs; of a canary, the one that has a share.
    pub sha256: String,
    pub version: String,
    pub abi: String,
    /// Handlers that got a new host; empty where the same library runs on.
    pub handlers: Vec<String>,
}

/// A new library on trial beside the one before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CanaryView {
    /// Of the events that came since it began, such as `5%`.
    pub share: String,
    pub began: String,
    /// It takes over once it was done with so many deliveries.
    pub promote_after: Option<u64>,
    /// What both answered to those events, over all handlers of the plugin, since it began or the daemon started.
    pub new: TallyView,
    pub old: TallyView,
    /// Its host.
    pub host: Box<HandlerView>,
}

/// Answers of one side.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TallyView {
    pub answered: u64,
    pub rejected: u64,
    pub retried: u64,
}

/// One entry of the record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LibraryRecordView {
    pub at: String,
    pub plugin: String,
    /// start, reload, plugin reload, plugin rollback, canary, promote, canary rollback.
    pub how: String,
    /// Who asked, as far as they said.
    pub by: String,
    pub before: Option<String>,
    pub sha256: String,
    pub version: String,
    pub abi: String,
    /// Why, where there is more to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What `?by=ann&canary=0.05&promote_after=500` asks of a reload.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LibraryReload {
    /// Who asks, as far as they say.
    #[serde(default)]
    pub by: String,
    /// The share that the library gets first: `0.05` or `5%`; without it what `[plugin.x] canary` says, or all.
    pub canary: Option<String>,
    /// It gets everything once it was done with so many deliveries.
    pub promote_after: Option<u64>,
    /// It gets everything at once, whatever `[plugin.x] canary` says.
    #[serde(default)]
    pub whole: bool,
}

/// `?by=ann`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ByQuery {
    #[serde(default)]
    by: String,
}

/// `?by=ann&to=9f2c`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackQuery {
    #[serde(default)]
    by: String,
    to: Option<String>,
}

pub(super) async fn record(State(admin): State<Arc<Admin>>) -> Pretty<Vec<LibraryRecordView>> {
    Pretty(admin.control.library_record().await)
}

pub(super) async fn reload(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(request): Query<LibraryReload>,
) -> Result<Pretty<PluginChangeView>, Failure> {
    Ok(Pretty(admin.control.reload_plugin(&name, request).await?))
}

pub(super) async fn promote(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(query): Query<ByQuery>,
) -> Result<Pretty<PluginChangeView>, Failure> {
    Ok(Pretty(admin.control.promote_plugin(&name, &query.by).await?))
}

pub(super) async fn rollback(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(query): Query<RollbackQuery>,
) -> Result<Pretty<PluginChangeView>, Failure> {
    Ok(Pretty(admin.control.roll_back_plugin(&name, query.to.as_deref(), &query.by).await?))
}
