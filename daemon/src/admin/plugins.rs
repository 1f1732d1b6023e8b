//! Exchanging one plugin's library while the daemon runs, and what was exchanged before.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::answer::{Failure, Pretty};

/// A plugin's library took another's place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginChangeView {
    pub plugin: String,
    /// The library that ran.
    pub before: String,
    /// The one that runs.
    pub sha256: String,
    pub version: String,
    pub abi: String,
    /// Handlers that got a new host; empty where the same library runs on.
    pub handlers: Vec<String>,
}

/// One entry of the record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LibraryRecordView {
    pub at: String,
    pub plugin: String,
    /// start, reload, plugin reload, plugin rollback.
    pub how: String,
    /// Who asked, as far as they said.
    pub by: String,
    pub before: Option<String>,
    pub sha256: String,
    pub version: String,
    pub abi: String,
}

/// `?by=ann`, and for a rollback `&to=9f2c`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeQuery {
    by: Option<String>,
    to: Option<String>,
}

pub(super) async fn record(State(admin): State<Arc<Admin>>) -> Pretty<Vec<LibraryRecordView>> {
    Pretty(admin.control.library_record().await)
}

pub(super) async fn reload(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(query): Query<ChangeQuery>,
) -> Result<Pretty<PluginChangeView>, Failure> {
    let by = query.by.unwrap_or_default();
    Ok(Pretty(admin.control.reload_plugin(&name, &by).await?))
}

pub(super) async fn rollback(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(query): Query<ChangeQuery>,
) -> Result<Pretty<PluginChangeView>, Failure> {
    let by = query.by.unwrap_or_default();
    Ok(Pretty(admin.control.roll_back_plugin(&name, query.to.as_deref(), &by).await?))
}
