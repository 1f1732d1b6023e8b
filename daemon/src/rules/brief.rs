//! What a verdict needs of each rule, most of it in one cache line: the test that tells it from others, its name, and what
//! it does.
//!
//! Built and asked by [`super::RuleSet`] beside the rules themselves, which are many times as large: with many rules an
//! event's time goes into the memory that it touches. Of a plain rule, which sees every event and asks only tests of usual
//! kinds on paths without `[*]`, the brief can say whether it matches; of any other, `evaluate` is asked.
//!
//! Most rules share all of their tests but one with many others, such as a type. So the one stands in the brief, and the
//! rest is kept once for all of them, where it stays in the processor's caches.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::hint::black_box;
use std::iter::once;

use super::ask::{Ask, Asker, Next};
use super::hash::BuildQuick;
use super::index::Values;
use super::ruleset::{Action, Rule};
use super::watch::Watch;
use crate::model::ids::RuleName;

/// The briefs of one rule set, by the rules' numbers.
#[derive(Debug, Clone)]
pub(super) struct Briefs {
    briefs: Vec<Brief>,
    /// What rules ask beside their first ask: each rest up to the ask behind which nothing stands.
    rests: Vec<Ask>,
    effects: Vec<Effect>,
}

/// One rule.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Brief {
    /// `None` where asks cannot say whether it matches.
    first: Option<Ask>,
    rule: RuleName,
    /// Where in `rests` the first ask goes on, if it does.
    rest: u32,
    /// In `effects`.
    effect: u32,
}

const _: () = assert!(size_of::<Brief>() == 64);

/// What a match means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Effect {
    pub(super) action: Action,
    pub(super) shadow: bool,
    pub(super) continues: bool,
}

impl Briefs {
    pub(super) fn new(rules: &[Rule], watch: &Watch) -> Self {
        let mut briefer = Briefer {
            asker: Asker::new(watch.root()),
            asked: HashSet::default(),
            rests: Vec::new(),
            known_rests: HashMap::default(),
            effects: Vec::new(),
            known_effects: HashMap::default(),
        };
        let briefs = rules.iter().map(|rule| briefer.brief(rule)).collect();
        Self { briefs, rests: briefer.rests, effects: briefer.effects }
    }

    /// Whether rule `number` matches; `None` where its brief does not tell.
    pub(super) fn matches(&self, number: u32, values: &Values<'_>) -> Option<bool> {
        let Brief { first, rest, .. } = &self.briefs[number as usize];
        let mut asks = once(first.as_ref()?).chain(&self.rests[*rest as usize..]);
        while let Some(ask) = asks.next() {
            let found = values.at(ask.place);
            let mut holds = found.is_some_and(|found| ask.holds(found));
            let mut last = ask;
            while last.next == Next::Or {
                last = asks.next()?;
                holds = holds || found.is_some_and(|found| last.holds(found));
            }
            if holds == ask.negated {
                return Some(false);
            }
            if last.next == Next::Nothing {
                break;
            }
        }
        Some(true)
    }

    /// Has the processor fetch the brief of rule `number`, which is asked soon, while other work goes on.
    pub(super) fn fetch(&self, number: u32) {
        // A read whose value goes nowhere: safe Rust has no other word for it.
        black_box(self.briefs[number as usize].rest);
    }

    /// The name of rule `number`, and what its match means.
    pub(super) fn effect(&self, number: u32) -> (&RuleName, &Effect) {
        let brief = &self.briefs[number as usize];
        (&brief.rule, &self.effects[brief.effect as usize])
    }
}

/// Writes the briefs of one rule set.
struct Briefer<'set> {
    asker: Asker<'set>,
    /// Hashes of the tests that earlier rules ask.
    asked: HashSet<u64, BuildQuick>,
    rests: Vec<Ask>,
    known_rests: HashMap<Vec<Ask>, u32, BuildQuick>,
    effects: Vec<Effect>,
    known_effects: HashMap<(&'set Action, bool, bool), u32, BuildQuick>,
}

impl<'set> Briefer<'set> {
    fn brief(&mut self, rule: &'set Rule) -> Brief {
        let mut asks = self.asks(rule).unwrap_or_default();
        let rest = if asks.len() > 1 { self.rest(asks.split_off(1)) } else { 0 };
        Brief { first: asks.pop(), rule: rule.name.clone(), rest, effect: self.effect(rule) }
    }

    /// What the rule asks, the test first that no earlier rule asks.
    fn asks(&mut self, rule: &'set Rule) -> Option<Vec<Ask>> {
        let mut asks = Vec::new();
        is_plain(rule).then(|| self.asker.lay_out(&rule.when, &mut asks))??;
        let (mut start, mut first) = (0, None);
        for test in asks.split_inclusive(|ask| ask.next == Next::And) {
            let end = start + test.len();
            if self.asked.insert(BuildQuick::default().hash_one(test)) {
                first = first.or(Some((test.len(), end)));
            }
            start = end;
        }
        if let Some((length, end)) = first {
            asks[..end].rotate_right(length);
        }
        asks.last_mut()?.next = Next::Nothing;
        Some(asks)
    }

    fn rest(&mut self, asks: Vec<Ask>) -> u32 {
        let Self { rests, known_rests, .. } = self;
        *known_rests.entry(asks).or_insert_with_key(|asks| {
            rests.extend_from_slice(asks);
            number(rests.len() - asks.len())
        })
    }

    fn effect(&mut self, rule: &'set Rule) -> u32 {
        let Rule { action, shadow, continues, .. } = rule;
        let Self { effects, known_effects, .. } = self;
        *known_effects.entry((action, *shadow, *continues)).or_insert_with(|| {
            effects.push(Effect { action: action.clone(), shadow: *shadow, continues: *continues });
            number(effects.len() - 1)
        })
    }
}

/// Whether nothing but its condition decides.
fn is_plain(rule: &Rule) -> bool {
    rule.is_unlimited() && rule.sources.is_empty()
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("a configuration file is smaller than 4 GB")
}
