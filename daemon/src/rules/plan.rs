//! The conditions of plain rules laid out flat, so that asking one touches two or three cache lines and not a tree.
//!
//! Built and asked by [`super::RuleSet`] beside the rules themselves. A plain rule sees every event, and all that it asks
//! are tests of usual kinds on paths without `[*]`; of any other rule the plan says nothing, and `evaluate` is asked. What
//! a plan says is what `evaluate` says: `tests/index.rs` holds the one against the other.

use std::collections::HashMap;

use smol_str::SmolStr;

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
    numbers: Vec<Number>,
}

/// One question about the value at one place. Two are a cache line.
#[derive(Debug, Clone)]
struct Ask {
    with: With,
    place: u32,
    what: What,
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

/// What the value is compared with.
#[derive(Debug, Clone)]
enum With {
    Nothing,
    /// A short one stands right here; of a longer one all rules that ask for it hold the same.
    Text(SmolStr),
    /// In `numbers`.
    Number(u32),
}

const _: () = assert!(size_of::<Ask>() == 32);

impl Plans {
    pub(super) fn new(rules: &[Rule], watch: &Watch) -> Self {
        let operands = Operands::default();
        let mut planner = Planner { starts: vec![0], asks: Vec::new(), root: watch.root(), operands };
        for rule in rules {
            planner.rule(rule);
        }
        let Planner { starts, asks, operands: Operands { numbers, .. }, .. } = planner;
        Self { starts, asks, numbers }
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
        match (ask.what, &ask.with, found) {
            (What::Present, _, found) => *found != Found::Null,
            (What::Bool(flag), _, Found::Bool(found)) => *found == flag,
            (What::Text, With::Text(text), Found::String(found)) => **found == **text,
            (What::Prefix, With::Text(text), Found::String(found)) => found.starts_with(&**text),
            (What::Suffix, With::Text(text), Found::String(found)) => found.ends_with(&**text),
            (What::Contains, With::Text(text), Found::String(found)) => found.contains(&**text),
            (What::Equal, With::Number(at), Found::Number(found)) => found.equals(self.numbers[*at as usize]),
            (What::Order(bound), With::Number(at), Found::Number(found)) => {
                found.compare(self.numbers[*at as usize]).is_some_and(|it| bound.admits(it))
            }
            _ => false,
        }
    }
}

/// Lays out the plans.
struct Planner<'set> {
    starts: Vec<u32>,
    asks: Vec<Ask>,
    root: &'set Node,
    operands: Operands<'set>,
}

/// What values are compared with.
#[derive(Default)]
struct Operands<'set> {
    /// Each text once: many rules ask for the same few types.
    texts: HashMap<&'set str, SmolStr, BuildQuick>,
    numbers: Vec<Number>,
}

impl<'set> Planner<'set> {
    fn rule(&mut self, rule: &'set Rule) {
        let start = self.asks.len();
        if !(is_plain(rule) && self.condition(&rule.when)) {
            self.asks.truncate(start);
        }
        self.starts.push(number(self.asks.len()));
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
        let place = number(node.number());
        let first = self.asks.len();
        let mut ask = |(what, with)| self.asks.push(Ask { with, place, what, or: false, negated });
        match &test.check {
            Check::In(literals) => {
                for literal in literals {
                    ask(self.operands.literal(literal));
                }
                if let Some((_last, others)) = self.asks[first..].split_last_mut() {
                    others.iter_mut().for_each(|ask| ask.or = true);
                }
            }
            Check::Present => ask((What::Present, With::Nothing)),
            Check::Prefix(text) => ask((What::Prefix, self.operands.text(text))),
            Check::Suffix(text) => ask((What::Suffix, self.operands.text(text))),
            Check::Contains(text) => ask((What::Contains, self.operands.text(text))),
            Check::Order(bound, limit) => ask((What::Order(*bound), self.operands.number(*limit))),
            _ => {}
        }
        self.asks.len() > first
    }
}

impl<'set> Operands<'set> {
    fn literal(&mut self, literal: &'set Literal) -> (What, With) {
        match literal {
            Literal::String(text) => (What::Text, self.text(text)),
            Literal::Bool(flag) => (What::Bool(*flag), With::Nothing),
            Literal::Number(number) => (What::Equal, self.number(*number)),
        }
    }

    fn text(&mut self, text: &'set str) -> With {
        With::Text(self.texts.entry(text).or_insert_with(|| SmolStr::new(text)).clone())
    }

    fn number(&mut self, value: Number) -> With {
        self.numbers.push(value);
        With::Number(number(self.numbers.len() - 1))
    }
}

/// Whether nothing but its condition decides.
fn is_plain(rule: &Rule) -> bool {
    rule.enabled && rule.sources.is_empty() && rule.active.is_none() && rule.sample.is_none()
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("a configuration file is smaller than 4 GB")
}
