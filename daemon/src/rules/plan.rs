//! The conditions of plain rules laid out flat, so that asking one touches two or three cache lines and not a tree.
//!
//! Built and asked by [`super::RuleSet`] beside the rules themselves. A plain rule sees every event, and all that it asks
//! are tests of usual kinds on paths without `[*]`; of any other rule the plan says nothing, and `evaluate` is asked. What
//! a plan says is what `evaluate` says: `tests/index.rs` holds the one against the other.

use std::collections::HashMap;

use super::condition::{Bound, Check, Condition, Literal, Test};
use super::extract::Found;
use super::hash::BuildQuick;
use super::index::Values;
use super::number::Number;
use super::ruleset::Rule;
use super::watch::{Node, Watch};

/// The plans of one rule set.
#[derive(Debug, Clone)]
pub(super) struct Plans {
    /// Where the asks of each rule begin, and the end of the last; a rule without any has no plan.
    starts: Vec<u32>,
    asks: Vec<Ask>,
    /// What texts are compared with, each once: many rules ask for the same few types.
    texts: String,
    numbers: Vec<Number>,
}

/// One question about the value at one place.
#[derive(Debug, Clone, Copy)]
struct Ask {
    place: u32,
    what: What,
    /// In `texts` or `numbers`.
    at: u32,
    bytes: u32,
    /// The next one asks the same test for another literal: either will do.
    or: bool,
    /// Of the test: it must not hold.
    negated: bool,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Present,
    Bool(bool),
    Text,
    Prefix,
    Suffix,
    Contains,
    Equal,
    Order(Bound),
}

impl Plans {
    pub(super) fn new(rules: &[Rule], watch: &Watch) -> Self {
        let plans = Self { starts: vec![0], asks: Vec::new(), texts: String::new(), numbers: Vec::new() };
        let mut planner = Planner { plans, root: watch.root(), known: HashMap::default() };
        for rule in rules {
            planner.rule(rule);
        }
        planner.plans
    }

    /// Whether rule `number` matches; `None` where it has no plan.
    pub(super) fn matches(&self, number: u32, values: &Values<'_>) -> Option<bool> {
        let [start, end] = [number, number + 1].map(|at| self.starts[at as usize] as usize);
        let mut asks = self.asks[start..end].iter().peekable();
        asks.peek()?;
        while let Some(first) = asks.next() {
            let found = values.at(first.place);
            let mut holds = found.is_some_and(|found| self.holds(first, found));
            let mut last = first;
            while last.or {
                let Some(next) = asks.next() else { break };
                holds = holds || found.is_some_and(|found| self.holds(next, found));
                last = next;
            }
            if holds == first.negated {
                return Some(false);
            }
        }
        Some(true)
    }

    fn holds(&self, ask: &Ask, found: &Found<'_>) -> bool {
        match (ask.what, found) {
            (What::Present, found) => *found != Found::Null,
            (What::Bool(flag), Found::Bool(found)) => *found == flag,
            (What::Text, Found::String(text)) => **text == *self.text(ask),
            (What::Prefix, Found::String(text)) => text.starts_with(self.text(ask)),
            (What::Suffix, Found::String(text)) => text.ends_with(self.text(ask)),
            (What::Contains, Found::String(text)) => text.contains(self.text(ask)),
            (What::Equal, Found::Number(found)) => found.equals(self.numbers[ask.at as usize]),
            (What::Order(bound), Found::Number(found)) => {
                found.compare(self.numbers[ask.at as usize]).is_some_and(|it| bound.admits(it))
            }
            _ => false,
        }
    }

    fn text(&self, ask: &Ask) -> &str {
        &self.texts[ask.at as usize..(ask.at + ask.bytes) as usize]
    }
}

/// Lays out the plans.
struct Planner<'set> {
    plans: Plans,
    root: &'set Node,
    /// Where each text stands in the plans' texts.
    known: HashMap<&'set str, u32, BuildQuick>,
}

impl<'set> Planner<'set> {
    fn rule(&mut self, rule: &'set Rule) {
        let start = self.plans.asks.len();
        if !(is_plain(rule) && self.condition(&rule.when)) {
            self.plans.asks.truncate(start);
        }
        self.plans.starts.push(number(self.plans.asks.len()));
    }

    /// Plans all that `condition` asks; `false` where it asks more than a plan can say.
    fn condition(&mut self, condition: &'set Condition) -> bool {
        match condition {
            Condition::All(conditions) => conditions.iter().all(|condition| self.condition(condition)),
            Condition::Test(test) => self.test(test, false),
            Condition::Not(condition) => match &**condition {
                Condition::Test(test) => self.test(test, true),
                _ => false,
            },
            Condition::Any(_) => false,
        }
    }

    fn test(&mut self, test: &'set Test, negated: bool) -> bool {
        let Some(node) = self.root.descend(test.at.steps()).filter(|_| test.at.is_single()) else {
            return false;
        };
        let ask =
            Ask { place: number(node.number()), what: What::Present, at: 0, bytes: 0, or: false, negated };
        match &test.check {
            Check::In(literals) if !literals.is_empty() => {
                let last = literals.len().saturating_sub(1);
                for (count, literal) in literals.iter().enumerate() {
                    self.literal(Ask { or: count < last, ..ask }, literal);
                }
            }
            Check::Present => self.plans.asks.push(ask),
            Check::Prefix(text) => self.with_text(Ask { what: What::Prefix, ..ask }, text),
            Check::Suffix(text) => self.with_text(Ask { what: What::Suffix, ..ask }, text),
            Check::Contains(text) => self.with_text(Ask { what: What::Contains, ..ask }, text),
            Check::Order(bound, limit) => self.with_number(Ask { what: What::Order(*bound), ..ask }, *limit),
            _ => return false,
        }
        true
    }

    fn literal(&mut self, ask: Ask, literal: &'set Literal) {
        match literal {
            Literal::String(text) => self.with_text(Ask { what: What::Text, ..ask }, text),
            Literal::Bool(flag) => self.plans.asks.push(Ask { what: What::Bool(*flag), ..ask }),
            Literal::Number(number) => self.with_number(Ask { what: What::Equal, ..ask }, *number),
        }
    }

    fn with_text(&mut self, ask: Ask, text: &'set str) {
        let texts = &mut self.plans.texts;
        let at = *self.known.entry(text).or_insert_with(|| {
            let at = number(texts.len());
            texts.push_str(text);
            at
        });
        self.plans.asks.push(Ask { at, bytes: number(text.len()), ..ask });
    }

    fn with_number(&mut self, ask: Ask, value: Number) {
        self.plans.asks.push(Ask { at: number(self.plans.numbers.len()), ..ask });
        self.plans.numbers.push(value);
    }
}

/// Whether nothing but its condition decides.
fn is_plain(rule: &Rule) -> bool {
    rule.enabled && rule.sources.is_empty() && rule.active.is_none() && rule.sample.is_none()
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("a configuration file is smaller than 4 GB")
}
