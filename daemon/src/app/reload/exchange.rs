//! The exchange: what is new is started beside what runs, and then a handful of pointers change, none of which can fail.
//!
//! A reload of the configuration and one of a plugin both end here; a canary comes in beside what runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::warn;

use super::canary::Canary;
use super::{Current, Origin, ReloadError, Reloaded, Reloader, table};
use crate::app::door;
use crate::app::handlers::{Handlers, Held, Libraries, Prepared};
use crate::config::{ConfigFile, Diagnostic, Loaded, Part, Snapshot, diff};
use crate::ingest::Sources;
use crate::model::ids::{HandlerName, PluginName};
use crate::observe::with_causes;

/// What is to take the running configuration's place.
pub(super) struct Next {
    pub(super) snapshot: Arc<Snapshot>,
    files: Vec<ConfigFile>,
    warnings: Vec<Diagnostic>,
}

impl From<Loaded> for Next {
    fn from(loaded: Loaded) -> Self {
        Self { snapshot: Arc::new(loaded.snapshot), files: loaded.files, warnings: loaded.warnings }
    }
}

/// How hosts that were started come in.
pub(super) struct Way<'a> {
    /// Plugins whose library is to be another than the configured one.
    pub(super) held: BTreeMap<PluginName, Held>,
    /// Only handlers of this plugin get another host.
    pub(super) only: Option<&'a PluginName>,
    /// What is new gets a share beside what runs.
    pub(super) canary: Option<Canary>,
}

impl Reloader {
    /// Starts what is new beside what runs, then exchanges the two.
    pub(super) async fn put_in_place(
        self: &Arc<Self>,
        next: Next,
        from: Origin,
        way: Way<'_>,
    ) -> Result<Reloaded, ReloadError> {
        let Way { mut held, only, canary } = way;
        let Next { snapshot: after, files, warnings } = next;
        let before = self.snapshot();
        let sources = door::sources(&after)?;
        let prepared = self.prepare(&after, Libraries { held: &held, only }).await?;
        let fresh: Vec<HandlerName> = prepared.fresh().cloned().collect();
        // An exchange of its hosts would end a canary without a word.
        if let Some(plugin) = self.on_trial_among(&after, &fresh) {
            prepared.abandon().await;
            return Err(self.canary_runs(&plugin));
        }
        let canary = canary.filter(|_| !fresh.is_empty());
        let written = canary.map(|canary| self.write_down(&canary, prepared.fresh_hash(), &mut held));
        let trial = match written.transpose() {
            Ok(trial) => trial,
            Err(source) => {
                prepared.abandon().await;
                return Err(ReloadError::TrialFile { source });
            }
        };
        self.keep(&after, &files);
        self.hold(held);
        let enter = |handlers: &Handlers| match &trial {
            None => handlers.adopt(prepared),
            Some(trial) => handlers.try_out(prepared, trial),
        };
        self.take_over(&before, &after, from, sources, enter);
        Ok(Reloaded {
            changes: diff::between(&before, &after),
            fresh,
            warnings,
            dry_run: None,
            unnamed: self.unnamed(&after).await,
            before,
            after,
        })
    }

    /// Starts the hosts that `snapshot` needs and that do not run, unless the daemon stops meanwhile.
    pub(super) async fn prepare(
        &self,
        snapshot: &Snapshot,
        libraries: Libraries<'_>,
    ) -> Result<Prepared, ReloadError> {
        let prepared = self.handlers.prepare(snapshot, libraries).await?;
        if self.work.is_cancelled() {
            prepared.abandon().await;
            return Err(ReloadError::Stopping);
        }
        Ok(prepared)
    }

    /// The exchange itself. Handlers first: what the new rules say is then delivered at once.
    fn take_over(
        &self,
        before: &Snapshot,
        after: &Arc<Snapshot>,
        from: Origin,
        sources: Sources,
        enter: impl FnOnce(&Handlers),
    ) {
        enter(&self.handlers);
        if let Some(why) = self.handlers.restart_asked() {
            warn!("{why}: start it again when it suits");
        }
        self.tally.follow(&after.rules);
        self.tables.store(Arc::new(table(after)));
        // A source's spent rate starts anew, so it is left alone where nothing of it changed.
        if diff::between(before, after).iter().any(|change| change.part == Part::Source) {
            self.sources.store(Arc::new(sources));
        }
        if let (Some(token), Some(admin)) = (&self.token, &after.server.admin) {
            token.store(Arc::new(admin.token.clone()));
        }
        if before.store.retention != after.store.retention {
            self.retain(after);
        }
        self.current.store(Arc::new(Current { snapshot: Arc::clone(after), from }));
        if let Err(error) = self.runtime_file.write(after) {
            warn!("`hookyard send` may sign with an old secret: {}", with_causes(&error));
        }
    }
}
