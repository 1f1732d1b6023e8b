//! One plugin's library is exchanged, side by side, and nothing else: reload and rollback of a plugin.
//!
//! A reload takes the files' word for the pins, so it loads the configuration, and is refused where that says more that is
//! new. A rollback takes a library that ran here before out of the cache; it holds until the plugin is reloaded, its path or
//! pins change, or (but for a canary's end) the daemon starts again, which all take the configured library. Either is refused
//! whole where the library does not start, and the one before runs on.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use tracing::{error, info};

use super::canary::Canary;
use super::exchange::Way;
use super::{Origin, ReloadError, Reloader};
use crate::app::handlers::{Held, Libraries};
use crate::app::library_record::Library;
use crate::app::trial_file::Row;
use crate::config::{Part, Snapshot, diff};
use crate::host::check_pin;
use crate::model::canary::Share;
use crate::model::ids::{HandlerName, PluginName};

/// Why a canary ended that somebody ended.
const ASKED_FOR: &str = "asked for by";

/// What an operator asks of a plugin's reload.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::app) struct Wish {
    /// The share that the library gets first.
    pub(in crate::app) share: Option<Share>,
    /// It gets everything once it was done with so many deliveries.
    pub(in crate::app) promote_after: Option<u64>,
    /// It gets everything at once, whatever the configuration says.
    pub(in crate::app) whole: bool,
}

/// What an exchange did.
#[derive(Debug)]
pub(in crate::app) struct PluginChange {
    pub(in crate::app) plugin: PluginName,
    /// As the record has it.
    pub(in crate::app) how: &'static str,
    /// Of a canary.
    pub(in crate::app) share: Option<Share>,
    pub(in crate::app) before: String,
    pub(in crate::app) after: Library,
    /// Handlers whose host was exchanged; none where the same library runs on.
    pub(in crate::app) handlers: Vec<HandlerName>,
}

impl Reloader {
    /// Has the library at the plugin's path take the place of the one that runs, or a share beside it. Goes on though its
    /// caller goes away.
    pub(in crate::app) async fn reload_plugin(
        self: &Arc<Self>,
        plugin: &str,
        wish: Wish,
        by: &str,
    ) -> Result<PluginChange, ReloadError> {
        let (this, plugin, by) = (Arc::clone(self), PluginName::new(plugin), by.to_owned());
        let reloading = async move {
            let _one_at_a_time = this.one_at_a_time.lock().await;
            let changed = this.take_from_path(&plugin, wish, &by).await;
            this.tell_of_plugin(&plugin, "plugin reload", &by, changed).await
        };
        tokio::spawn(reloading).await?
    }

    /// Has a library that ran before take the place of the one that runs: the one whose hash begins with `to`, or the last.
    pub(in crate::app) async fn roll_back_plugin(
        self: &Arc<Self>,
        plugin: &str,
        to: Option<&str>,
        by: &str,
    ) -> Result<PluginChange, ReloadError> {
        let (this, plugin, by) = (Arc::clone(self), PluginName::new(plugin), by.to_owned());
        let to = to.map(str::to_owned);
        let reloading = async move {
            let _one_at_a_time = this.one_at_a_time.lock().await;
            let changed = match this.is_on_trial(&plugin) {
                true if to.is_some() => Err(this.canary_runs(&plugin)),
                true => this.give_up(&plugin, &format!("{ASKED_FOR} {by}"), &by).await,
                false => this.take_from_cache(&plugin, to.as_deref()).await,
            };
            this.tell_of_plugin(&plugin, "plugin rollback", &by, changed).await
        };
        tokio::spawn(reloading).await?
    }

    async fn take_from_path(
        self: &Arc<Self>,
        plugin: &PluginName,
        wish: Wish,
        by: &str,
    ) -> Result<PluginChange, ReloadError> {
        let before = self.running_library(plugin)?;
        let loaded = self.load(Origin::Files).await?;
        self.refuse_more_changes(plugin, &loaded.snapshot)?;
        let configured = &loaded.snapshot.plugins[plugin];
        let library = |source| ReloadError::Library { plugin: plugin.to_string(), source };
        let there = check_pin(&configured.path, &configured.sha256).await.map_err(library)?;
        if self.is_on_trial(plugin) {
            return match wish.share.is_none() && self.tries(plugin, &there) {
                true => self.promote(plugin, by).await,
                false => Err(self.canary_runs(plugin)),
            };
        }
        let share = wish.share.or(configured.canary).filter(|_| !wish.whole && there != before.sha256);
        let canary = share.map(|share| Canary {
            plugin: plugin.clone(),
            old: before.sha256.clone(),
            share,
            promote_after: wish.promote_after,
        });
        let mut held = self.held();
        held.remove(plugin);
        let way = Way { held, only: Some(plugin), canaries: canary.into_iter().collect() };
        let mut reloaded = self.put_in_place(loaded.into(), Origin::Files, way).await?;
        match reloaded.canaries.pop() {
            Some((plugin, handlers)) => self.begun(&plugin, before, handlers, by).await,
            None => self.changed(plugin, "plugin reload", before, reloaded.fresh),
        }
    }

    async fn take_from_cache(
        self: &Arc<Self>,
        plugin: &PluginName,
        to: Option<&str>,
    ) -> Result<PluginChange, ReloadError> {
        let before = self.running_library(plugin)?;
        let (record, name, running) = (Arc::clone(&self.record), plugin.to_string(), before.sha256.clone());
        let to = to.map(str::to_owned);
        let looking = move || record.before(&name, &running, to.as_deref());
        let sha256 = tokio::task::spawn_blocking(looking).await?;
        let sha256 = sha256.ok_or_else(|| ReloadError::NothingBefore { plugin: plugin.to_string() })?;
        let mut held = self.held();
        held.insert(plugin.clone(), Held { library: self.record.library(&sha256), sha256, why: None });
        let libraries = Libraries { held: &held, only: Some(plugin) };
        let prepared = self.prepare(&self.snapshot(), libraries).await?;
        let fresh = prepared.fresh().cloned().collect();
        self.hold(held);
        self.handlers.adopt(prepared);
        self.changed(plugin, "plugin rollback", before, fresh)
    }

    /// Nothing but the plugin's own section may be new.
    fn refuse_more_changes(&self, plugin: &PluginName, after: &Snapshot) -> Result<(), ReloadError> {
        let changes = diff::between(&self.snapshot(), after);
        let others: Vec<String> = changes
            .iter()
            .filter(|change| change.part != Part::Plugin || change.name != plugin.as_str())
            .map(ToString::to_string)
            .collect();
        match others.is_empty() && after.plugins.contains_key(plugin) {
            true => Ok(()),
            false => {
                let (plugin, changes) = (plugin.to_string(), others.join(", "));
                Err(ReloadError::MoreChanges { plugin, changes })
            }
        }
    }

    pub(super) fn running_library(&self, plugin: &PluginName) -> Result<Library, ReloadError> {
        let libraries = self.handlers.libraries();
        libraries.get(plugin).cloned().ok_or_else(|| {
            let known: Vec<String> = libraries.keys().map(ToString::to_string).collect();
            ReloadError::NoPlugin { name: plugin.to_string(), known: known.join(", ") }
        })
    }

    pub(super) fn changed(
        &self,
        plugin: &PluginName,
        how: &'static str,
        before: Library,
        handlers: Vec<HandlerName>,
    ) -> Result<PluginChange, ReloadError> {
        let after = self.running_library(plugin)?;
        let (plugin, before) = (plugin.clone(), before.sha256);
        Ok(PluginChange { plugin, how, share: None, before, after, handlers })
    }

    pub(super) async fn tell_of_plugin(
        &self,
        plugin: &PluginName,
        asked: &'static str,
        by: &str,
        changed: Result<PluginChange, ReloadError>,
    ) -> Result<PluginChange, ReloadError> {
        match &changed {
            Ok(PluginChange { how, before, after, handlers, .. }) => {
                let (after, exchanged) = (&after.sha256, handlers.len());
                info!(%plugin, %before, %after, exchanged, by, "{how}");
                self.record_libraries(how, by).await;
            }
            Err(error) => {
                let why = error.sentences();
                error!(%plugin, by, "the {asked} is refused, and the library before runs on: {why}");
            }
        }
        changed
    }

    /// Records what runs now and did not before. A disk that takes no file must not undo an exchange.
    pub(super) async fn record_libraries(&self, how: &'static str, by: &str) {
        let (running, in_use) = (self.handlers.libraries(), self.handlers.libraries_in_use());
        let (record, now, by) = (Arc::clone(&self.record), self.clock.now(), by.to_owned());
        let recording = move || record.record((how, &by), &running, &in_use, now);
        match tokio::task::spawn_blocking(recording).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "which library runs could not be recorded"),
            Err(error) => error!(%error, "which library runs could not be recorded"),
        }
    }

    /// Plugins that were rolled back.
    pub(in crate::app) fn held(&self) -> BTreeMap<PluginName, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A trial whose library before is no longer held is over for good; but a library that failed is not taken by a start
    /// whichever older one runs.
    pub(super) fn hold(&self, held: BTreeMap<PluginName, Held>) {
        let holds = |plugin: &PluginName, row: &mut Row| {
            let Some(runs) = held.get(plugin) else { return false };
            if row.failed.is_some() {
                row.old.clone_from(&runs.sha256);
            }
            row.old == runs.sha256
        };
        if let Err(error) = self.trial_file.retain(holds) {
            error!(%error, "that a trial is over could not be written down: the next start may go on with it");
        }
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }
}
