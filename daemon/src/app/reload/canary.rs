//! A canary: a new library gets a share of new events beside the one that runs, until it is promoted or rolled back, by an
//! operator or by itself.
//!
//! ```text
//!  plugin reload --canary ─► written down ─► new host beside the old one ─► watched ─┬─► promote: it runs, the old one drains
//!                                 │                                                  └─► roll back: it drains, the old one runs
//!        a start ─────────────────┘ goes on with it; one that was rolled back is not taken by a start either
//! ```
//!
//! Meanwhile the library before is *held*, as after a rollback, so a reload of something else leaves both alone. What would
//! change the plugin or its handlers is refused until the canary has ended.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::plugin::PluginChange;
use super::{ReloadError, Reloader};
use crate::app::handlers::{Held, Libraries, PluginTrial, Side};
use crate::app::library_record::{CANARY, Entry, Library};
use crate::app::trial_file::Row;
use crate::config::{Part, Plugin, Snapshot, diff};
use crate::dispatch::canary::{Trial, Verdict};
use crate::host::{Host, check_pin};
use crate::model::canary::Share;
use crate::model::clock::UnixMillis;
use crate::model::ids::{HandlerName, PluginName};
use crate::observe::with_causes;

/// Who ends a canary by itself, as the record has it.
const BY_ITSELF: &str = "hookyard";
/// How the record has a canary's two ends.
const PROMOTE: &str = "promote";
const CANARY_ROLLBACK: &str = "canary rollback";
/// What an operator who reads of it wonders next.
const NOTHING_TO_REPLAY: &str =
    "the library before has everything; what the canary rejected or died of is tried again with it by itself";

/// A canary that is about to begin.
#[derive(Debug)]
pub(super) struct Canary {
    pub(super) plugin: PluginName,
    /// The library that runs.
    pub(super) old: String,
    pub(super) share: Share,
    pub(super) promote_after: Option<u64>,
}

impl Reloader {
    /// Has a library on trial take the place of the one before. Goes on though its caller goes away.
    pub(in crate::app) async fn promote_plugin(
        self: &Arc<Self>,
        plugin: &str,
        by: &str,
    ) -> Result<PluginChange, ReloadError> {
        let (this, plugin, by) = (Arc::clone(self), PluginName::new(plugin), by.to_owned());
        let promoting = async move {
            let _one_at_a_time = this.one_at_a_time.lock().await;
            let changed = this.promote(&plugin, &by).await;
            this.tell_of_plugin(&plugin, PROMOTE, &by, changed).await
        };
        tokio::spawn(promoting).await?
    }

    pub(super) fn is_on_trial(&self, plugin: &PluginName) -> bool {
        self.handlers.trials().contains_key(plugin)
    }

    /// A plugin that has a canary and of which a handler is among these.
    pub(super) fn on_trial_among(&self, snapshot: &Snapshot, handlers: &[HandlerName]) -> Option<PluginName> {
        let trials = self.handlers.trials();
        let plugins = handlers.iter().filter_map(|handler| snapshot.handlers.get(handler));
        plugins.map(|handler| handler.plugin.clone()).find(|plugin| trials.contains_key(plugin))
    }

    pub(super) fn canary_runs(&self, plugin: &PluginName) -> ReloadError {
        ReloadError::CanaryRuns { plugin: plugin.to_string() }
    }

    /// Nothing of a plugin that has a canary may change otherwise.
    pub(super) fn refuse_where_on_trial(
        &self,
        before: &Snapshot,
        after: &Snapshot,
    ) -> Result<(), ReloadError> {
        let trials = self.handlers.trials();
        let concerned = diff::between(before, after).into_iter().flat_map(|change| match change.part {
            Part::Plugin => vec![PluginName::new(&change.name)],
            Part::Handler => {
                plugins_of([before, after], &change.name).into_iter().flatten().cloned().collect()
            }
            // Whom to trust is a matter of each of them.
            Part::Plugins => trials.keys().cloned().collect(),
            _ => Vec::new(),
        });
        match concerned.into_iter().find(|plugin| trials.contains_key(plugin)) {
            Some(plugin) => Err(self.canary_runs(&plugin)),
            None => Ok(()),
        }
    }

    /// Whether the library on trial has this hash.
    pub(super) fn tries(&self, plugin: &PluginName, sha256: &str) -> bool {
        self.handlers.trials().get(plugin).is_some_and(|on_trial| on_trial.library.sha256 == sha256)
    }

    /// The library that runs beside it.
    pub(super) fn held_by(&self, canary: &Canary) -> Held {
        Held { library: self.record.library(&canary.old), sha256: canary.old.clone(), why: None }
    }

    /// Its hosts are up: writes it down, so that a start goes on with it, and lets it begin now.
    pub(super) fn write_down(&self, canary: &Canary, new: String) -> io::Result<Arc<Trial>> {
        let Canary { plugin, old, share, promote_after } = canary;
        let began = self.clock.now();
        let row = Row {
            old: old.clone(),
            new,
            share: share.fraction(),
            began: began.0,
            promote_after: *promote_after,
            failed: None,
        };
        self.trial_file.put(plugin, row)?;
        Ok(Trial::new(*share, began, *promote_after))
    }

    /// A canary has begun: it is recorded and watched.
    pub(super) async fn begun(
        self: &Arc<Self>,
        plugin: &PluginName,
        before: Library,
        handlers: Vec<HandlerName>,
        by: &str,
    ) -> Result<PluginChange, ReloadError> {
        let PluginTrial { library: after, trial, .. } = self.on_trial(plugin)?;
        let why = match trial.promote_after {
            Some(enough) => format!("{} of new events, all of them after {enough} deliveries", trial.share),
            None => format!("{} of new events", trial.share),
        };
        self.note(plugin, (CANARY, by, &why), &before.sha256, &after).await;
        self.watch(plugin.clone());
        let (plugin, share, before) = (plugin.clone(), Some(trial.share), before.sha256);
        Ok(PluginChange { plugin, how: CANARY, share, before, after, handlers })
    }

    /// Gives everything to the library on trial.
    pub(super) async fn promote(&self, plugin: &PluginName, by: &str) -> Result<PluginChange, ReloadError> {
        let PluginTrial { trial, .. } = self.on_trial(plugin)?;
        if let Verdict::RollBack { why } = trial.decide(Verdict::Promote) {
            return Err(ReloadError::GivenUp { plugin: plugin.to_string(), why });
        }
        let before = self.running_library(plugin)?;
        let handlers = self.handlers.end_trial(plugin, Side::New);
        let mut held = self.held();
        held.remove(plugin);
        self.hold(held);
        self.record_libraries(PROMOTE, by).await;
        self.changed(plugin, PROMOTE, before, handlers)
    }

    /// Gives everything back to the library before.
    pub(super) async fn give_up(
        &self,
        plugin: &PluginName,
        why: &str,
        by: &str,
    ) -> Result<PluginChange, ReloadError> {
        let PluginTrial { library: tried, trial, .. } = self.on_trial(plugin)?;
        trial.decide(Verdict::RollBack { why: why.to_owned() });
        let handlers = self.handlers.end_trial(plugin, Side::Old);
        let after = self.running_library(plugin)?;
        error!(%plugin, tried = tried.sha256, runs = after.sha256, "{CANARY_ROLLBACK}: {why}; {NOTHING_TO_REPLAY}");
        self.write_down_failure(plugin, why);
        self.note(plugin, (CANARY_ROLLBACK, by, why), &tried.sha256, &after).await;
        self.changed(plugin, CANARY_ROLLBACK, tried, handlers)
    }

    /// At a start: the libraries that run in place of configured ones that are on trial, or failed.
    pub(super) async fn held_by_trials(&self) -> BTreeMap<PluginName, Held> {
        let (mut held, snapshot) = (BTreeMap::new(), self.snapshot());
        for (name, row) in self.trial_file.rows() {
            let (name, library) = (PluginName::new(&name), self.record.library(&row.old));
            let Some(Plugin { path, sha256, .. }) = snapshot.plugins.get(&name) else { continue };
            // Where another file stands there now, or may run now, that is what was meant.
            if !check_pin(path, sha256).await.is_ok_and(|there| there == row.new) {
                continue;
            }
            if !library.exists() {
                let gone = library.display();
                error!(plugin = %name, "{gone} is gone, which ran before its canary: the configured library has everything");
                continue;
            }
            held.insert(name, Held { library, sha256: row.old, why: row.failed });
        }
        held
    }

    /// At a start, once the libraries before run: goes on with the trials that had not ended.
    pub(super) async fn resume_trials(self: &Arc<Self>) {
        for (name, row) in self.trial_file.rows() {
            let (plugin, Ok(share)) = (PluginName::new(&name), Share::of(row.share)) else { continue };
            if row.failed.is_some() {
                warn!(%plugin, "its configured library failed as a canary, so the one before runs");
                continue;
            }
            let mut held = self.held();
            held.remove(&plugin);
            let libraries = Libraries { held: &held, only: Some(&plugin) };
            match self.prepare(&self.snapshot(), libraries).await {
                Ok(prepared) => {
                    let trial = Trial::new(share, UnixMillis(row.began), row.promote_after);
                    self.handlers.try_out(prepared, &trial);
                    info!(%plugin, %share, "a canary goes on that ran before the start; its counts begin anew");
                    self.watch(plugin);
                }
                Err(error) => {
                    let why = format!("it did not start again: {}", with_causes(&error));
                    error!(%plugin, "{CANARY_ROLLBACK}: {why}");
                    self.write_down_failure(&plugin, &why);
                    if let Ok(runs) = self.running_library(&plugin) {
                        self.note(&plugin, (CANARY_ROLLBACK, BY_ITSELF, &why), &row.new, &runs).await;
                    }
                }
            }
        }
    }

    /// Acts on the verdict, or on the first fault of a new host, whichever is there first.
    fn watch(self: &Arc<Self>, plugin: PluginName) {
        let Ok(PluginTrial { trial, hosts, .. }) = self.on_trial(&plugin) else { return };
        let (this, stop) = (Arc::clone(self), self.work.clone());
        self.tasks.spawn(async move {
            let verdict = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                verdict = trial.verdict() => verdict,
                why = first_fault(hosts) => Verdict::RollBack { why },
            };
            // From now on nothing more goes to a library that is given up.
            let verdict = trial.decide(verdict);
            let _one_at_a_time = this.one_at_a_time.lock().await;
            if !this.on_trial(&plugin).is_ok_and(|now| Arc::ptr_eq(&now.trial, &trial)) {
                return;
            }
            let (asked, changed) = match verdict {
                Verdict::Promote => (PROMOTE, this.promote(&plugin, BY_ITSELF).await),
                Verdict::RollBack { why } => (CANARY_ROLLBACK, this.give_up(&plugin, &why, BY_ITSELF).await),
            };
            // Told there, and nobody waits for it.
            drop(this.tell_of_plugin(&plugin, asked, BY_ITSELF, changed).await);
        });
    }

    fn on_trial(&self, plugin: &PluginName) -> Result<PluginTrial, ReloadError> {
        let on_trial = self.handlers.trials().remove(plugin);
        on_trial.ok_or_else(|| ReloadError::NoCanary { plugin: plugin.to_string() })
    }

    /// The next start does not take the library either.
    fn write_down_failure(&self, plugin: &PluginName, why: &str) {
        let mut held = self.held();
        if let Some(held) = held.get_mut(plugin) {
            held.why = Some(why.to_owned());
        }
        self.hold(held);
        let failed = |name: &PluginName, row: &mut Row| {
            if name == plugin {
                row.failed = Some(why.to_owned());
            }
            true
        };
        if let Err(error) = self.trial_file.retain(failed) {
            error!(%plugin, %error, "that the canary failed could not be written down: the next start tries it again");
        }
    }

    async fn note(
        &self,
        plugin: &PluginName,
        (how, by, why): (&str, &str, &str),
        before: &str,
        after: &Library,
    ) {
        let Library { sha256, version, abi } = after.clone();
        let entry = Entry {
            at: self.clock.now().0,
            plugin: plugin.to_string(),
            how: how.to_owned(),
            by: by.to_owned(),
            before: Some(before.to_owned()),
            sha256,
            version,
            abi,
            why: why.to_owned(),
        };
        let record = Arc::clone(&self.record);
        match tokio::task::spawn_blocking(move || record.note(entry)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "a canary could not be recorded"),
            Err(error) => error!(%error, "a canary could not be recorded"),
        }
    }
}

async fn first_fault(hosts: Vec<Arc<Host>>) -> String {
    let mut faults: JoinSet<String> =
        hosts.into_iter().map(|host| async move { host.faulted().await }).collect();
    match faults.join_next().await {
        Some(Ok(why)) => why,
        Some(Err(_)) | None => std::future::pending().await,
    }
}

/// Whose this handler is in each of the snapshots, if it is there.
pub(super) fn plugins_of<'a>(snapshots: [&'a Snapshot; 2], handler: &str) -> [Option<&'a PluginName>; 2] {
    let handler = HandlerName::new(handler);
    snapshots.map(|snapshot| snapshot.handlers.get(&handler).map(|handler| &handler.plugin))
}
