//! Reloading, and the snapshots that are kept.

use std::sync::Arc;

use axum::extract::{Path, State};

use super::Admin;
use super::answer::{Failure, Pretty};
use super::control::{KeptFilesView, KeptView, ReloadView};

pub(super) async fn reload(State(admin): State<Arc<Admin>>) -> Result<Pretty<ReloadView>, Failure> {
    Ok(Pretty(admin.control.reload(None).await?))
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
    Ok(Pretty(admin.control.reload(Some(hash)).await?))
}

fn not_kept(hash: &str) -> Failure {
    Failure::not_found(format!(
        "no kept snapshot, or more than one, begins with `{hash}`; `hookyard config list` shows them"
    ))
}
