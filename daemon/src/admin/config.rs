//! Reloading, and the snapshots that are kept.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::Admin;
use super::answer::{Failure, Pretty};
use super::control::{KeptFilesView, KeptView, ReloadRequest, ReloadView};

/// `POST /v1/reload?against=last=30d&changes_max=0`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReloadQuery {
    against: Option<String>,
    changes_max: Option<u64>,
}

pub(super) async fn reload(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<ReloadQuery>,
) -> Result<Pretty<ReloadView>, Failure> {
    let changes_max = query.changes_max.unwrap_or(0);
    let request = ReloadRequest { kept: None, against: query.against, changes_max };
    Ok(Pretty(admin.control.reload(request).await?))
}

pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Pretty<Vec<KeptView>> {
    Pretty(admin.control.kept().await)
}

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    Path(hash): Path<String>,
) -> Result<Pretty<KeptFilesView>, Failure> {
    let kept = admin.control.kept_files(&hash).await;
    kept.map(Pretty).ok_or_else(|| not_kept(&hash))
}

pub(super) async fn rollback(
    State(admin): State<Arc<Admin>>,
    Path(hash): Path<String>,
) -> Result<Pretty<ReloadView>, Failure> {
    if admin.control.kept_files(&hash).await.is_none() {
        return Err(not_kept(&hash));
    }
    Ok(Pretty(admin.control.reload(ReloadRequest { kept: Some(hash), ..ReloadRequest::default() }).await?))
}

fn not_kept(hash: &str) -> Failure {
    Failure::not_found(format!(
        "no kept snapshot, or more than one, begins with `{hash}`; `hookyard config list` shows them"
    ))
}
