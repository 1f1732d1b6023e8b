//! Which plugins a reload of the whole configuration begins a canary of: those that ask for one (`[plugin.x] canary`) and of
//! which nothing is new but the library.
//!
//! A canary compares two libraries under the same settings. Where a handler of the plugin changes as well, neither the old
//! library with the new settings nor the new one with the old was ever meant to run, and taking both whole is what `canary`
//! is there to prevent. So that is refused, and costs nobody an event.

use std::collections::BTreeMap;

use super::canary::{Canary, plugins_of};
use super::{ReloadError, Reloader};
use crate::app::handlers::Held;
use crate::config::{Change, Part, Plugin, Snapshot, diff};
use crate::host::check_pin;
use crate::model::ids::PluginName;

impl Reloader {
    /// Those that are due. What is `held` was rolled back, or is on trial, and stays as it is.
    pub(super) async fn due_canaries(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        held: &BTreeMap<PluginName, Held>,
    ) -> Result<Vec<Canary>, ReloadError> {
        let running = self.handlers.libraries();
        let changes = diff::between(before, after);
        let mut due = Vec::new();
        for plugin in after.plugins.values().filter(|plugin| !held.contains_key(&plugin.name)) {
            let (Some(share), Some(runs)) = (plugin.canary, running.get(&plugin.name)) else { continue };
            if !is_new(plugin, &runs.sha256).await {
                continue;
            }
            let is_its_handler = |change: &&Change| {
                change.part == Part::Handler
                    && plugins_of([before, after], &change.name).contains(&Some(&plugin.name))
            };
            let others: Vec<String> =
                changes.iter().filter(is_its_handler).map(ToString::to_string).collect();
            if !others.is_empty() {
                let (plugin, changes) = (plugin.name.to_string(), others.join(", "));
                return Err(ReloadError::MoreThanALibrary { plugin, share, changes });
            }
            due.push(Canary {
                plugin: plugin.name.clone(),
                old: runs.sha256.clone(),
                share,
                promote_after: None,
            });
        }
        Ok(due)
    }
}

/// Whether another file than the one that runs stands there, and may run. What is wrong with it is told by whoever loads it.
async fn is_new(plugin: &Plugin, running: &str) -> bool {
    check_pin(&plugin.path, &plugin.sha256).await.is_ok_and(|there| there != running)
}
