//! The exchange: what is new is started beside what runs, and then a handful of pointers change, none of which can fail.
//!
//! A reload of the configuration and one of a plugin both end here; a canary comes in beside what runs.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tracing::warn;

use super::canary::Canary;
use super::{Current, Origin, ReloadError, Reloaded, Reloader, table};
use crate::app::door;
use crate::app::handlers::{Handlers, Held, Libraries, Prepared};
use crate::config::{ConfigFile, Diagnostic, Loaded, Part, Snapshot, diff};
use crate::dispatch::canary::Trial;
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
    /// Whose configured library gets a share beside the one that runs.
    pub(super) canaries: Vec<Canary>,
}

/// A canary's hosts, up and not yet used.
struct Candidate {
    canary: Canary,
    prepared: Prepared,
}

impl Reloader {
    /// Starts what is new beside what runs, then exchanges the two.
    pub(super) async fn put_in_place(
        self: &Arc<Self>,
        next: Next,
        from: Origin,
        way: Way<'_>,
    ) -> Result<Reloaded, ReloadError> {
        let Way { mut held, only, canaries } = way;
        let Next { snapshot: after, files, warnings } = next;
        let before = self.snapshot();
        let sources = door::sources(&after)?;
        held.extend(canaries.iter().map(|canary| (canary.plugin.clone(), self.held_by(canary))));
        let prepared = self.prepare(&after, Libraries { held: &held, only }).await?;
        let candidates = match self.prepare_canaries(&after, &held, canaries).await {
            Ok(candidates) => candidates,
            Err(error) => {
                prepared.abandon().await;
                return Err(error);
            }
        };
        let fresh: Vec<HandlerName> = prepared.fresh().cloned().collect();
        // An exchange of its hosts would end a canary without a word.
        let refused = self.on_trial_among(&after, &fresh).map(|plugin| self.canary_runs(&plugin));
        let written = match refused {
            Some(error) => Err(error),
            None => self.write_down_all(&candidates).map_err(|source| ReloadError::TrialFile { source }),
        };
        let trials = match written {
            Ok(trials) => trials,
            Err(error) => {
                prepared.abandon().await;
                abandon(candidates).await;
                return Err(error);
            }
        };
        self.keep(&after, &files);
        self.hold(held);
        let mut canaries = Vec::new();
        let enter = |handlers: &Handlers| {
            handlers.adopt(prepared);
            for (Candidate { canary, prepared }, trial) in candidates.into_iter().zip(trials) {
                canaries.push((canary.plugin, prepared.fresh().cloned().collect()));
                handlers.try_out(prepared, &trial);
            }
        };
        self.take_over(&before, &after, from, sources, enter);
        Ok(Reloaded {
            changes: diff::between(&before, &after),
            fresh,
            canaries,
            warnings,
            dry_run: None,
            unnamed: self.unnamed(&after).await,
            before,
            after,
        })
    }

    /// Starts the configured library of each beside the one that is held.
    async fn prepare_canaries(
        &self,
        after: &Snapshot,
        held: &BTreeMap<PluginName, Held>,
        canaries: Vec<Canary>,
    ) -> Result<Vec<Candidate>, ReloadError> {
        let mut candidates = Vec::new();
        for canary in canaries {
            let mut others = held.clone();
            others.remove(&canary.plugin);
            match self.prepare(after, Libraries { held: &others, only: Some(&canary.plugin) }).await {
                // The file was put back since it was looked at: what is held is what is configured.
                Ok(prepared) if prepared.fresh().next().is_none() => {}
                Ok(prepared) => candidates.push(Candidate { canary, prepared }),
                Err(error) => {
                    abandon(candidates).await;
                    return Err(error);
                }
            }
        }
        Ok(candidates)
    }

    /// All of them, or none.
    fn write_down_all(&self, candidates: &[Candidate]) -> io::Result<Vec<Arc<Trial>>> {
        let written: io::Result<Vec<Arc<Trial>>> = candidates
            .iter()
            .map(|Candidate { canary, prepared }| self.write_down(canary, prepared.fresh_hash()))
            .collect();
        if written.is_err() {
            self.hold(self.held());
        }
        written
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

async fn abandon(candidates: Vec<Candidate>) {
    for candidate in candidates {
        candidate.prepared.abandon().await;
    }
}
