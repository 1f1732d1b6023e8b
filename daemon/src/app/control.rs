//! What operators may see and change of the running daemon, in the words of their API.

use std::sync::Arc;

use async_trait::async_trait;

use super::kept::Kept;
use super::reload::{From, ReloadError, Reloaded, Reloader};
use crate::admin::control::{
    ChangeView, Control, FileView, KeptFilesView, KeptView, Refused, ReloadView, WaitingView,
};
use crate::admin::view::{HandlerView, RefusalView, time};
use crate::config::{Change, Diagnostic};
use crate::model::clock::UnixMillis;
use crate::observe::with_causes;

/// The daemon's side of the operator API.
#[derive(Debug)]
pub(super) struct Operations {
    pub(super) reloader: Arc<Reloader>,
}

#[async_trait]
impl Control for Operations {
    fn handlers(&self) -> Vec<HandlerView> {
        self.reloader.handlers.views()
    }

    fn snapshot(&self) -> String {
        self.reloader.snapshot().hash.to_string()
    }

    fn is_rolled_back(&self) -> bool {
        self.reloader.is_rolled_back()
    }

    fn reload_refused(&self) -> Option<RefusalView> {
        let refusal = self.reloader.refusal()?;
        Some(RefusalView { at: time(refusal.at), why: refusal.why })
    }

    async fn reload(&self, kept: Option<String>) -> Result<ReloadView, Refused> {
        let from = kept.map_or(From::Files, From::Kept);
        match self.reloader.reload(from).await {
            Ok(reloaded) => Ok(view(&reloaded)),
            Err(error) => Err(refused(&error)),
        }
    }

    async fn kept(&self) -> Vec<KeptView> {
        let running = self.snapshot();
        let view = |kept: Kept| KeptView {
            running: kept.hash == running,
            began: time(UnixMillis(kept.began)),
            files: kept.files().iter().map(|file| file.path.display().to_string()).collect(),
            snapshot: kept.hash,
        };
        self.look(|reloader| reloader.kept().into_iter().collect()).await.into_iter().map(view).collect()
    }

    async fn kept_files(&self, hash: &str) -> Option<KeptFilesView> {
        let hash = hash.to_owned();
        let found = self.look(move |reloader| reloader.kept.find(&hash).into_iter().collect()).await;
        let kept = found.into_iter().next()?;
        let file = |file: crate::config::ConfigFile| FileView {
            path: file.path.display().to_string(),
            text: file.text,
        };
        Some(KeptFilesView {
            began: time(UnixMillis(kept.began)),
            files: kept.files().into_iter().map(file).collect(),
            snapshot: kept.hash,
        })
    }
}

impl Operations {
    /// Looks at files, beside the async threads.
    async fn look(&self, look: impl FnOnce(&Reloader) -> Vec<Kept> + Send + 'static) -> Vec<Kept> {
        let reloader = Arc::clone(&self.reloader);
        tokio::task::spawn_blocking(move || look(&reloader)).await.unwrap_or_default()
    }
}

fn view(reloaded: &Reloaded) -> ReloadView {
    let waiting = |(handler, deliveries): &(crate::model::ids::HandlerName, u64)| WaitingView {
        handler: handler.to_string(),
        deliveries: *deliveries,
    };
    ReloadView {
        before: reloaded.before.hash.to_string(),
        snapshot: reloaded.after.hash.to_string(),
        changes: reloaded.changes.iter().map(change).collect(),
        new_hosts: reloaded.fresh.iter().map(ToString::to_string).collect(),
        waiting_for_nobody: reloaded.unnamed.iter().map(waiting).collect(),
        warnings: reloaded.warnings.iter().map(|warning| warning.render(false)).collect(),
    }
}

fn change(change: &Change) -> ChangeView {
    ChangeView {
        part: change.part.word().to_owned(),
        name: change.name.clone(),
        how: change.how.word().to_owned(),
        text: change.to_string(),
    }
}

fn refused(error: &ReloadError) -> Refused {
    let faults = match error {
        ReloadError::Config(error) => error.faults.iter().map(Diagnostic::to_json).collect(),
        _ => Vec::new(),
    };
    Refused { error: with_causes(error), report: error.report(), faults: faults.into() }
}
