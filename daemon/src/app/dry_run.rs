//! A dry run in the words of the operator API, and for a reload that demands one.

use std::sync::Arc;

use crate::admin::dry_run::{DryRunView, RuleCountView, WayView};
use crate::admin::view::routing_words;
use crate::model::ids::SnapshotHash;
use crate::model::verdict::{Decision, Verdict};
use crate::replay::dry_run::{self, DryRun, Last, Way};
use crate::rules::RuleSet;
use crate::store::StoreError;

use super::reload::Reloader;

/// What a reload must show before it may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    pub last: Last,
    /// The reload is refused where more events than this would go elsewhere.
    pub changes_max: u64,
}

impl Reloader {
    /// What `rules` would do otherwise than those that run.
    pub(super) async fn dry_run(&self, rules: &Arc<RuleSet>, last: Last) -> Result<DryRun, StoreError> {
        let running = Arc::clone(&self.tables.load().rules);
        dry_run::run(&*self.store, &running, rules, last, self.clock.now()).await
    }
}

pub(super) fn view(dry_run: &DryRun) -> DryRunView {
    let rule = |(rule, (before, after)): (&crate::model::ids::RuleName, &(u64, u64))| RuleCountView {
        rule: rule.to_string(),
        before: *before,
        after: *after,
    };
    DryRunView {
        looked: dry_run.looked,
        changed: dry_run.changed,
        ways: dry_run.ways.iter().map(way).collect(),
        other_ways: dry_run.other_ways,
        rules: dry_run.rules.iter().map(rule).collect(),
    }
}

fn way(way: &Way) -> WayView {
    WayView {
        before: words(&way.before),
        after: words(&way.after),
        events: way.events,
        examples: way.examples.iter().map(ToString::to_string).collect(),
    }
}

fn words(verdict: &Verdict) -> String {
    let (snapshot, verdict) = (SnapshotHash::new(""), verdict.clone());
    routing_words(Some(&Decision { snapshot, verdict, shadows: Vec::new() }))
}
