//! Why each rule took an event, or did not: every clause with the value that it found.
//!
//! Asked by operators, over the bytes that were stored, never on the way of an event. It asks every rule in file order,
//! clause by clause, with the same evaluator that gives the language its meaning, so its verdict is that of
//! [`RuleSet::decide`]; a property test holds the two together.

mod words;

use super::condition::{Check, Condition, Test};
use super::evaluate::holds;
use super::extract::Found;
use super::ruleset::{Action, Rule, RuleSet, Ruling, unrouted};
use super::watch::WatchedStep;
use crate::model::clock::UnixMillis;
use crate::model::ids::{RuleName, SourceName};
use crate::model::verdict::Verdict;

/// Values of one path, or elements of one array, that are shown; how many there are beyond is told.
const SHOWN_MAX: usize = 20;

/// What every rule says of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Why no rule was asked, where none was: the event is unrouted then.
    pub obstacle: Option<String>,
    /// In file order; empty where none was asked.
    pub rules: Vec<Explained>,
    /// That of [`RuleSet::decide`].
    pub verdict: Verdict,
    /// Those of [`RuleSet::decide`].
    pub shadows: Vec<RuleName>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    pub rule: Rule,
    pub outcome: Outcome,
    /// What its `when` asked, and was answered; also where its answer counts for nothing.
    pub when: Clause,
}

/// What became of the event at a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `enabled = false`
    Disabled,
    /// It sees only events of other sources.
    OtherSource,
    /// The event was received outside the time that it is active.
    NotActive,
    /// Its condition does not hold.
    NoMatch,
    /// Its condition holds, and the event is not in its sample.
    NotSampled,
    /// It matches and is a shadow: the search goes on as if it were not there.
    Shadows,
    /// Its handlers get a copy, and the search goes on.
    Copies,
    /// It takes the event, and the search ends.
    Takes,
    /// It drops the event, and the search ends.
    Drops,
    /// Its condition holds, and an earlier rule ended the search.
    TooLate,
}

/// A condition, or a part of one, with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    /// As a rule would say it: `type is "charge.refunded"`, `any of`.
    pub text: String,
    pub holds: bool,
    /// What stands at the path of a test; a path that is not there shows one `missing`.
    pub found: Vec<Shown>,
    /// How many more there are than `found` shows.
    pub more: usize,
    /// The clauses that it is made of; for `some` and `every`, one for each element.
    pub parts: Vec<Clause>,
}

/// A value that a test met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// missing, null, bool, number, string, object, array.
    pub kind: &'static str,
    /// The value as JSON, shortened; for objects and arrays how large they are.
    pub text: String,
}

impl RuleSet {
    /// Why each rule takes this event or does not, and what becomes of it. The arguments are those of [`Self::decide`].
    pub fn explain(
        &self,
        source: &SourceName,
        livemode: Option<bool>,
        received: UnixMillis,
        body: &[u8],
    ) -> Explanation {
        let root = match self.found(source, livemode, body) {
            Ok(root) => root,
            Err(obstacle) => {
                let Ruling { verdict, shadows } = unrouted(obstacle.clone());
                return Explanation { obstacle: Some(obstacle), rules: Vec::new(), verdict, shadows };
            }
        };
        let mut ended = false;
        let explain = |rule: &Rule| {
            let when = clause(&rule.when, &root);
            let outcome = match silent(rule, source, received, &when, &root) {
                Some(outcome) => outcome,
                None => spoken(rule, ended),
            };
            ended |= matches!(outcome, Outcome::Takes | Outcome::Drops);
            Explained { rule: rule.clone(), outcome, when }
        };
        let rules = self.rules().iter().map(explain).collect();
        let Ruling { verdict, shadows } = self.first_match(self.matching(source, received, &root));
        Explanation { obstacle: None, rules, verdict, shadows }
    }
}

impl Clause {
    /// The first clause whose answer keeps this one from holding; itself where no single one does.
    pub fn first_failing(&self) -> Option<&Self> {
        if self.holds {
            return None;
        }
        let failing = self.parts.iter().find_map(Self::first_failing);
        if self.is_all() { failing.or(Some(self)) } else { Some(self) }
    }

    fn is_all(&self) -> bool {
        self.text == words::ALL
    }
}

/// Why a rule does not match, if it does not.
fn silent(
    rule: &Rule,
    source: &SourceName,
    received: UnixMillis,
    when: &Clause,
    root: &Found<'_>,
) -> Option<Outcome> {
    let sampled = || rule.sample.as_ref().is_none_or(|sample| sample.takes(&rule.name, root));
    match rule.active {
        _ if !rule.enabled => Some(Outcome::Disabled),
        _ if !rule.sees(source) => Some(Outcome::OtherSource),
        Some(window) if !window.holds(received) => Some(Outcome::NotActive),
        _ if !when.holds => Some(Outcome::NoMatch),
        _ if !sampled() => Some(Outcome::NotSampled),
        _ => None,
    }
}

/// What a rule does that matches.
fn spoken(rule: &Rule, ended: bool) -> Outcome {
    match (&rule.action, rule.continues) {
        _ if ended => Outcome::TooLate,
        _ if rule.shadow => Outcome::Shadows,
        (Action::Drop { .. }, _) => Outcome::Drops,
        (Action::Deliver(_), true) => Outcome::Copies,
        (Action::Deliver(_), false) => Outcome::Takes,
    }
}

fn clause(condition: &Condition, root: &Found<'_>) -> Clause {
    let of = |text: &str, conditions: &[Condition]| Clause {
        text: text.to_owned(),
        holds: holds(condition, root),
        found: Vec::new(),
        more: 0,
        parts: conditions.iter().map(|condition| clause(condition, root)).collect(),
    };
    match condition {
        Condition::All(conditions) => {
            let mut all = of(words::ALL, conditions);
            // Paths that share their first steps are parsed as an `all` of their own, which nobody wrote.
            let (nested, own): (Vec<Clause>, Vec<Clause>) = all.parts.into_iter().partition(Clause::is_all);
            all.parts = own;
            all.parts.extend(nested.into_iter().flat_map(|nested| nested.parts));
            all
        }
        Condition::Any(conditions) => of(words::ANY, conditions),
        // `ne`, `not_in` and `present = false` stand as the complement of one test: one line says it.
        Condition::Not(inner) => match &**inner {
            Condition::Test(test) if !matches!(test.check, Check::Some(_) | Check::Every(_)) => {
                let asked = test_clause(inner, test, root);
                Clause { text: words::negated(test), holds: !asked.holds, ..asked }
            }
            inner => of(words::NOT, std::slice::from_ref(inner)),
        },
        Condition::Test(test) => test_clause(condition, test, root),
    }
}

fn test_clause(condition: &Condition, test: &Test, root: &Found<'_>) -> Clause {
    let mut values = Vec::new();
    collect(root, test.at.steps(), &mut values);
    let parts = match &test.check {
        Check::Some(inner) | Check::Every(inner) => {
            values.iter().take(SHOWN_MAX).enumerate().map(|(number, it)| element(number, inner, it)).collect()
        }
        _ => Vec::new(),
    };
    let found = match values.is_empty() {
        true => vec![words::shown(&Found::Missing)],
        false => values.iter().take(SHOWN_MAX).map(|value| words::shown(value)).collect(),
    };
    Clause {
        text: words::test(test),
        holds: holds(condition, root),
        found,
        more: values.len().saturating_sub(SHOWN_MAX),
        parts,
    }
}

/// What `some` or `every` asked of one element.
fn element(number: usize, inner: &Condition, element: &Found<'_>) -> Clause {
    let inner = clause(inner, element);
    Clause {
        text: format!("element {number}"),
        holds: inner.holds,
        found: Vec::new(),
        more: 0,
        parts: vec![inner],
    }
}

/// Everything at the end of `steps`; with no `[*]` among them that is at most one value.
fn collect<'found, 'body>(
    found: &'found Found<'body>,
    steps: &[WatchedStep],
    values: &mut Vec<&'found Found<'body>>,
) {
    let Some((step, rest)) = steps.split_first() else {
        if *found != Found::Missing {
            values.push(found);
        }
        return;
    };
    match (step, found) {
        (WatchedStep::Child(number), _) => {
            if let Some(child) = found.child(*number) {
                collect(child, rest, values);
            }
        }
        (WatchedStep::Each, Found::Array { elements, .. }) => {
            elements.iter().for_each(|element| collect(element, rest, values));
        }
        (WatchedStep::Each, _) => {}
    }
}
