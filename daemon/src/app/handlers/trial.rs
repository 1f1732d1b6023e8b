//! A plugin's canary, as its handlers have it: each has a second host under its loop, and the trial says which makes an attempt.
//!
//! Beginning and ending it is an exchange of loops like any other: the loop before finishes the attempts that it began, with
//! the hosts that it had, over the same lane; only then the host that is not kept ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::info;

use super::{Handlers, NextHost, Prepared, Running};
use crate::admin::plugins::{CanaryView, TallyView};
use crate::admin::view::time;
use crate::app::handler_view::{library, view};
use crate::app::library_record::Library;
use crate::dispatch::Attempts;
use crate::dispatch::canary::{Sides, Trial};
use crate::host::Host;
use crate::model::canary::Tally;
use crate::model::ids::{HandlerName, PluginName};
use crate::model::retry::RetrySchedule;

/// A new library beside the one that runs.
#[derive(Debug)]
pub(super) struct OnTrial {
    pub(super) host: Arc<Host>,
    trial: Arc<Trial>,
}

/// Which library stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Side {
    Old,
    New,
}

/// A plugin's trial.
#[derive(Debug, Clone)]
pub(in crate::app) struct PluginTrial {
    pub(in crate::app) library: Library,
    pub(in crate::app) trial: Arc<Trial>,
    pub(in crate::app) hosts: Vec<Arc<Host>>,
}

impl Handlers {
    /// Runs the fresh hosts of what was prepared beside those that run, and leaves the rest as it is.
    pub(in crate::app) fn try_out(&self, prepared: Prepared, trial: &Arc<Trial>) {
        let mut state = self.state();
        for (handler, host) in prepared.0 {
            let NextHost::Fresh(candidate) = host else { continue };
            let Some(earlier) = state.running.remove(&handler.name) else { continue };
            let name = handler.name.clone();
            let (host, _) = self.end_loop(&mut state, earlier, []);
            let on_trial = OnTrial { host: candidate, trial: Arc::clone(trial) };
            let running = self.begin(&mut state, handler, host, Some(on_trial));
            state.running.insert(name, running);
        }
    }

    /// Gives everything to one of a plugin's two libraries; the other ends once it has finished. The handlers concerned.
    pub(in crate::app) fn end_trial(&self, plugin: &PluginName, keep: Side) -> Vec<HandlerName> {
        let mut state = self.state();
        let on_trial = |running: &Running| running.handler.plugin == *plugin && running.on_trial.is_some();
        let names: Vec<HandlerName> =
            state.running.iter().filter(|(_, it)| on_trial(it)).map(|(name, _)| name.clone()).collect();
        for name in &names {
            let Some(earlier) = state.running.remove(name) else { continue };
            let [old, new] = [Some(&earlier.host), earlier.on_trial.as_ref().map(|on_trial| &on_trial.host)];
            let (kept, gone) = if keep == Side::Old { (old, new) } else { (new, old) };
            let (kept, gone) = (kept.cloned(), gone.cloned());
            let handler = earlier.handler.clone();
            let (host, _) = self.end_loop(&mut state, earlier, gone);
            let running = self.begin(&mut state, handler, kept.unwrap_or(host), None);
            info!(handler = %name, sha256 = running.host.status().sha256, "one library has everything again");
            state.running.insert(name.clone(), running);
        }
        names
    }

    /// Every plugin of which a library is on trial.
    pub(in crate::app) fn trials(&self) -> BTreeMap<PluginName, PluginTrial> {
        let mut trials: BTreeMap<PluginName, PluginTrial> = BTreeMap::new();
        for running in self.state().running.values() {
            let Some(OnTrial { host, trial }) = &running.on_trial else { continue };
            let plugin = trials.entry(running.handler.plugin.clone()).or_insert_with(|| PluginTrial {
                library: library(host),
                trial: Arc::clone(trial),
                hosts: Vec::new(),
            });
            plugin.hosts.push(Arc::clone(host));
        }
        trials
    }
}

impl OnTrial {
    /// What makes the attempts of both.
    pub(super) fn beside(&self, old: &Arc<Host>, retry: &RetrySchedule) -> Arc<dyn Attempts> {
        let (old, new) = (Arc::clone(old), Arc::clone(&self.host));
        Arc::new(Sides::new(old, new, Arc::clone(&self.trial), retry.attempts))
    }

    /// How it is.
    pub(super) fn view(&self, name: &HandlerName) -> CanaryView {
        let counts = self.trial.counts();
        CanaryView {
            share: self.trial.share.to_string(),
            began: time(self.trial.began),
            promote_after: self.trial.promote_after,
            new: tally(&counts.new),
            old: tally(&counts.old),
            host: Box::new(view(name, &self.host)),
        }
    }
}

fn tally(tally: &Tally) -> TallyView {
    TallyView { answered: tally.answered, rejected: tally.rejected, retried: tally.retried }
}
