//! How often each rule took an event, and when last: what tells an operator of a rule that never matches.
//!
//! Counted by `route` once a decision is on disk, in memory; `app` writes it beside the store now and then, so a
//! kill costs the counts of the last minute and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::clock::{Clock, UnixMillis};
use crate::model::ids::RuleName;
use crate::model::limits::RULES_GONE_MAX;
use crate::model::verdict::Verdict;
use crate::rules::{DEFAULT_RULE, RuleSet};

/// The counts of every rule of the table that routes, of the default, and of some that are gone.
#[derive(Debug)]
pub struct Tally {
    clock: Arc<dyn Clock>,
    rules: Mutex<BTreeMap<RuleName, Matched>>,
}

/// One rule's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// Events that it took, copied or dropped.
    pub events: u64,
    pub last: Option<UnixMillis>,
    /// Since when it is counted.
    pub since: UnixMillis,
}

impl Tally {
    /// With what was counted before.
    pub fn new(clock: Arc<dyn Clock>, before: BTreeMap<RuleName, Matched>) -> Self {
        Self { clock, rules: Mutex::new(before) }
    }

    /// Counts for these rules from now on: new ones from nothing. Those that are gone are remembered, as far as there is
    /// room: a rollback may bring them back.
    pub fn follow(&self, rules: &RuleSet) {
        let now = self.clock.now();
        let mut counted = self.counted();
        let default = RuleName::new(DEFAULT_RULE);
        let names = rules.rules().iter().map(|rule| &rule.name).chain([&default]);
        let fresh = Matched { events: 0, last: None, since: now };
        let mut followed: BTreeMap<RuleName, Matched> =
            names.map(|name| (name.clone(), *counted.get(name).unwrap_or(&fresh))).collect();
        let gone = counted.iter().filter(|(name, _)| !followed.contains_key(*name));
        let gone: Vec<_> = gone.take(RULES_GONE_MAX).map(|(name, it)| (name.clone(), *it)).collect();
        followed.extend(gone);
        *counted = followed;
    }

    /// Counts one verdict that is on disk.
    pub fn count(&self, verdict: &Verdict) {
        let now = self.clock.now();
        let mut counted = self.counted();
        for rule in verdict.rules() {
            // Every rule of every table is counted, but one that is gone for long.
            if let Some(matched) = counted.get_mut(rule) {
                matched.events += 1;
                matched.last = Some(now);
            }
        }
    }

    /// As [`Self::count`], for an event that was unrouted before: only where a rule took it.
    pub fn count_routed(&self, verdict: &Verdict) {
        if !matches!(verdict, Verdict::Unrouted { .. }) {
            self.count(verdict);
        }
    }

    /// What is counted by now.
    pub fn snapshot(&self) -> BTreeMap<RuleName, Matched> {
        self.counted().clone()
    }

    fn counted(&self) -> MutexGuard<'_, BTreeMap<RuleName, Matched>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
