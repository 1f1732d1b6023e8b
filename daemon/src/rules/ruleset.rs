//! The compiled rules of one snapshot, and the verdict on an event.
//!
//! Built by `config` when a snapshot is checked; `route` asks it once an event, and the verdict is stored with the
//! event, so that a retry never routes anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::analysis::{Finding, findings};
use super::brief::{Briefs, Effect};
use super::condition::Condition;
use super::evaluate::holds;
use super::extract::{Found, extract};
use super::index::{Index, Merged};
use super::path::Path;
use super::sample::Sample;
use super::watch::Watch;
use crate::model::clock::UnixMillis;
use crate::model::ids::{HandlerName, RuleName, SourceName};
use crate::model::verdict::{Assignment, Verdict};

/// Every rule in file order, and the default that stands behind them.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Rule>,
    fallback: Fallback,
    watch: Watch,
    livemodes: BTreeMap<SourceName, Livemode>,
    index: Index,
    briefs: Briefs,
}

/// Which rules are asked one by one, as numbers in [`RuleSet::rules`]. All others cost no more than a look-up together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost<'set> {
    /// Of every event: nothing in them can be looked up.
    pub always: &'set [u32],
    /// Of an event with one certain value: the most that any value has.
    pub longest: &'set [u32],
}

/// One `[[rule]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub name: RuleName,
    pub action: Action,
    /// `false` keeps the rule checked, and never asks it.
    pub enabled: bool,
    /// Matched, counted and shown, but the event goes on as if it were not there.
    pub shadow: bool,
    /// Its handlers get a copy, and the search goes on, down to the default, as if it had not matched.
    pub continues: bool,
    /// The sources whose events it sees; empty for all.
    pub sources: Vec<SourceName>,
    /// When the events were received that it sees; `None` for all.
    pub active: Option<Window>,
    /// Which of the events that it matches it takes; `None` for all.
    pub sample: Option<Sample>,
    pub when: Condition,
}

/// `active`: from the first moment on, and before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from: Option<UnixMillis>,
    pub until: Option<UnixMillis>,
}

/// What the rules say of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    pub verdict: Verdict,
    /// Rules with `shadow` that matched before one took the event, at most [`SHADOWS_MAX`].
    pub shadows: Vec<RuleName>,
}

/// Shadow matches that are kept of one event: a row stays small whatever the rules are.
pub const SHADOWS_MAX: usize = 8;

/// What a rule does with an event that it matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Never empty, each once.
    Deliver(Arc<[HandlerName]>),
    Drop {
        reason: String,
    },
}

/// `[default]`: what becomes of an event that no rule takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    Deliver(Vec<HandlerName>),
    Unrouted,
}

/// `[source.x] livemode`: which of the provider's two worlds a source takes events from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Livemode {
    #[default]
    Any,
    Live,
    Test,
}

/// The name under which [`Verdict`] shows the default's assignments; no rule may have it.
pub const DEFAULT_RULE: &str = "default";

const NO_RULE: &str = "no rule took it";

impl RuleSet {
    /// Rules in file order whose conditions were parsed into `watch`. A source that `livemodes` does not name is `Any`.
    pub fn new(
        rules: Vec<Rule>,
        fallback: Fallback,
        mut watch: Watch,
        livemodes: BTreeMap<SourceName, Livemode>,
    ) -> Self {
        watch.number_in_order();
        let index = Index::new(&rules, &watch);
        let briefs = Briefs::new(&rules, &watch);
        Self { rules, fallback, watch, livemodes, index, briefs }
    }

    /// The rules in file order, those with `enabled = false` included.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What becomes of an event that no rule takes.
    pub fn fallback(&self) -> &Fallback {
        &self.fallback
    }

    /// What can be proven about the rules without an event.
    pub fn findings(&self) -> Vec<Finding> {
        findings(self)
    }

    /// The paths that rules look at and that stand at `path` or below it, in order.
    pub fn looks_within(&self, path: &Path) -> Vec<Path> {
        let mut within: Vec<Path> =
            self.watch.paths().filter(|looked| looked.steps().starts_with(path.steps())).collect();
        within.sort();
        within
    }

    /// The rules that may match an event of `source`, as numbers in order.
    pub(super) fn candidates_of(&self, source: &SourceName, root: &Found<'_>) -> Merged<'_> {
        self.index.open(&self.briefs, &self.watch, root, source).candidates().0
    }

    /// The paths that the rules look at.
    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// What the rules cost.
    pub fn cost(&self) -> Cost<'_> {
        Cost { always: self.index.always(), longest: self.index.longest() }
    }

    /// Who gets an event of `source` that was received then, with this body (the very bytes received).
    ///
    /// Total and pure. Unrouted, with the reason, is also: an event of the other livemode than the source takes, or of
    /// none where it takes only one; a body that is not JSON; a body in which a key that some rule looks at stands
    /// twice. A rule that drops ends the search; copies that earlier rules asked for are still delivered.
    pub fn decide(
        &self,
        source: &SourceName,
        livemode: Option<bool>,
        received: UnixMillis,
        body: &[u8],
    ) -> Ruling {
        let root = match self.found(source, livemode, body) {
            Ok(root) => root,
            Err(obstacle) => return unrouted(obstacle),
        };
        let (candidates, values) = self.index.open(&self.briefs, &self.watch, &root, source).candidates();
        self.first_match(candidates.filter(|number| {
            self.briefs
                .matches(*number, &values)
                .unwrap_or_else(|| self.rules[*number as usize].matches(source, received, &root))
        }))
    }

    /// As [`Self::decide`], with every rule asked in turn: what the index and the briefs must agree with.
    pub fn decide_one_by_one(
        &self,
        source: &SourceName,
        livemode: Option<bool>,
        received: UnixMillis,
        body: &[u8],
    ) -> Ruling {
        match self.found(source, livemode, body) {
            Ok(root) => self.first_match(self.matching(source, received, &root)),
            Err(obstacle) => unrouted(obstacle),
        }
    }

    /// What rules look at in this body, or why none is asked.
    pub(super) fn found<'body>(
        &self,
        source: &SourceName,
        livemode: Option<bool>,
        body: &'body [u8],
    ) -> Result<Found<'body>, String> {
        let expected = self.livemodes.get(source).copied().unwrap_or_default();
        if let Some(reason) = expected.refuses(livemode) {
            return Err(reason.to_owned());
        }
        let extracted = extract(&self.watch, body).map_err(|unreadable| unreadable.to_string())?;
        match extracted.duplicate {
            Some(key) => Err(format!("the key `{key}`, which rules look at, stands twice in one object")),
            None => Ok(extracted.root),
        }
    }

    /// The rules that match, as numbers in order: every one is asked.
    pub(super) fn matching(
        &self,
        source: &SourceName,
        received: UnixMillis,
        root: &Found<'_>,
    ) -> impl Iterator<Item = u32> {
        (0..).zip(&self.rules).filter(move |(_, rule)| rule.matches(source, received, root)).map(|(it, _)| it)
    }

    /// The verdict of rules that match, in file order.
    pub(super) fn first_match(&self, matching: impl Iterator<Item = u32>) -> Ruling {
        let (mut assignments, mut shadows) = (Vec::new(), Vec::new());
        for number in matching {
            let (rule, Effect { action, shadow, continues }) = self.briefs.effect(number);
            if *shadow {
                shadows.extend((shadows.len() < SHADOWS_MAX).then(|| rule.clone()));
                continue;
            }
            match action {
                Action::Deliver(handlers) => assign(&mut assignments, handlers, rule),
                Action::Drop { reason } if assignments.is_empty() => {
                    let verdict = Verdict::Dropped { rule: rule.clone(), reason: reason.clone() };
                    return Ruling { verdict, shadows };
                }
                Action::Drop { .. } => {}
            }
            if !continues {
                return Ruling { verdict: Verdict::Deliver(assignments), shadows };
            }
        }
        if let Fallback::Deliver(handlers) = &self.fallback {
            assign(&mut assignments, handlers, &RuleName::new(DEFAULT_RULE));
        }
        if assignments.is_empty() {
            return Ruling { shadows, ..unrouted(NO_RULE) };
        }
        Ruling { verdict: Verdict::Deliver(assignments), shadows }
    }
}

impl Rule {
    /// A rule that says nothing but this: it sees every event of every source, and ends the search.
    pub fn plain(name: RuleName, when: Condition, action: Action) -> Self {
        Self {
            name,
            enabled: true,
            shadow: false,
            sources: Vec::new(),
            active: None,
            sample: None,
            when,
            action,
            continues: false,
        }
    }

    /// Whether it is asked about events of `source`.
    pub fn sees(&self, source: &SourceName) -> bool {
        self.enabled && (self.sources.is_empty() || self.sources.contains(source))
    }

    /// Whether it is enabled, and neither a time nor a sample keeps it from events that its condition holds for.
    pub(super) fn is_unlimited(&self) -> bool {
        self.enabled && self.active.is_none() && self.sample.is_none()
    }

    /// Whether it matches an event of `source`.
    pub fn matches(&self, source: &SourceName, received: UnixMillis, root: &Found<'_>) -> bool {
        self.sees(source)
            && self.active.is_none_or(|window| window.holds(received))
            && holds(&self.when, root)
            && self.sample.as_ref().is_none_or(|sample| sample.takes(&self.name, root))
    }
}

impl Window {
    /// Whether `moment` is in it.
    pub fn holds(self, moment: UnixMillis) -> bool {
        self.from.is_none_or(|from| from <= moment) && self.until.is_none_or(|until| moment < until)
    }
}

impl Livemode {
    /// Why a source that takes this mode refuses such an event, if it does.
    fn refuses(self, livemode: Option<bool>) -> Option<&'static str> {
        match (self, livemode) {
            (Self::Any, _) | (Self::Live, Some(true)) | (Self::Test, Some(false)) => None,
            (Self::Live, Some(false)) => Some("a test event at a source that takes live ones"),
            (Self::Test, Some(true)) => Some("a live event at a source that takes test ones"),
            (Self::Live, None) => Some("an event without a livemode at a source that takes live ones"),
            (Self::Test, None) => Some("an event without a livemode at a source that takes test ones"),
        }
    }
}

/// A handler gets one delivery, under the first rule that names it.
fn assign(assignments: &mut Vec<Assignment>, handlers: &[HandlerName], rule: &RuleName) {
    for handler in handlers {
        if !assignments.iter().any(|assignment| assignment.handler == *handler) {
            assignments.push(Assignment { handler: handler.clone(), rule: rule.clone() });
        }
    }
}

pub(super) fn unrouted(reason: impl Into<String>) -> Ruling {
    Ruling { verdict: Verdict::Unrouted { reason: reason.into() }, shadows: Vec::new() }
}
