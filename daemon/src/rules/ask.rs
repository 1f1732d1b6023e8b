//! One question about the value at one place, flat and in half a cache line: what a test of a usual kind comes to.
//!
//! Made and asked by `brief`. What an ask says is what `evaluate` says of its test: `tests/index.rs` holds the one against
//! the other.

use std::collections::HashMap;

use smol_str::SmolStr;

use super::condition::{Bound, Check, Condition, Literal, Test};
use super::extract::Found;
use super::hash::BuildQuick;
use super::number::Number;
use super::watch::Node;

/// One question, and how it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Ask {
    with: With,
    pub(super) place: u32,
    what: What,
    /// Of the test: it must not hold.
    pub(super) negated: bool,
    pub(super) next: Next,
}

/// What stands behind an ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Next {
    /// The same test for another literal: either will do.
    Or,
    /// Another test, which must hold as well.
    And,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum With {
    Nothing,
    /// A short one stands right here; of a longer one all rules that ask for it hold the same.
    Text(SmolStr),
    Integer(i64),
    /// The bits of a double.
    Float(u64),
}

const _: () = assert!(size_of::<Ask>() == 32);

impl Ask {
    /// Whether it holds for a value that is there, if only as null; `negated` is left to the caller.
    pub(super) fn holds(&self, found: &Found<'_>) -> bool {
        match (self.what, &self.with, found) {
            (What::Present, _, found) => *found != Found::Null,
            (What::Bool(flag), _, Found::Bool(found)) => *found == flag,
            (What::Text, With::Text(text), Found::String(found)) => **found == **text,
            (What::Prefix, With::Text(text), Found::String(found)) => found.starts_with(&**text),
            (What::Suffix, With::Text(text), Found::String(found)) => found.ends_with(&**text),
            (What::Contains, With::Text(text), Found::String(found)) => found.contains(&**text),
            (What::Equal, limit, Found::Number(found)) => limit.number().is_some_and(|it| found.equals(it)),
            (What::Order(bound), limit, Found::Number(found)) => {
                limit.number().and_then(|it| found.compare(it)).is_some_and(|it| bound.admits(it))
            }
            _ => false,
        }
    }
}

impl With {
    fn number(&self) -> Option<Number> {
        match self {
            Self::Integer(integer) => Some(Number::Integer(i128::from(*integer))),
            Self::Float(bits) => Some(Number::Float(f64::from_bits(*bits))),
            _ => None,
        }
    }
}

/// Lays conditions out as asks.
pub(super) struct Asker<'set> {
    root: &'set Node,
    /// Each text once: many rules ask for the same few types.
    texts: HashMap<&'set str, SmolStr, BuildQuick>,
}

impl<'set> Asker<'set> {
    /// For conditions whose paths start at `root`.
    pub(super) fn new(root: &'set Node) -> Self {
        Self { root, texts: HashMap::default() }
    }

    /// Adds all that `condition` asks, each test's last ask with [`Next::And`]; `None` where it asks more than asks can say.
    pub(super) fn lay_out(&mut self, condition: &'set Condition, asks: &mut Vec<Ask>) -> Option<()> {
        match condition {
            Condition::All(conditions) => {
                conditions.iter().try_for_each(|condition| self.lay_out(condition, asks))
            }
            Condition::Test(test) => self.test(test, false, asks),
            Condition::Not(condition) => match &**condition {
                Condition::Test(test) => self.test(test, true, asks),
                _ => None,
            },
            Condition::Any(_) => None,
        }
    }

    fn test(&mut self, test: &'set Test, negated: bool, asks: &mut Vec<Ask>) -> Option<()> {
        let node = self.root.descend(test.at.steps()).filter(|_| test.at.is_single())?;
        let ask = |next, (what, with)| Ask { with, place: node.place(), what, negated, next };
        let only = match &test.check {
            Check::In(literals) => {
                let (last, others) = literals.split_last()?;
                for literal in others {
                    asks.push(ask(Next::Or, self.literal(literal)?));
                }
                self.literal(last)?
            }
            Check::Present => (What::Present, With::Nothing),
            Check::Prefix(text) => (What::Prefix, self.text(text)),
            Check::Suffix(text) => (What::Suffix, self.text(text)),
            Check::Contains(text) => (What::Contains, self.text(text)),
            Check::Order(bound, limit) => (What::Order(*bound), number(*limit)?),
            _ => return None,
        };
        asks.push(ask(Next::And, only));
        Some(())
    }

    fn literal(&mut self, literal: &'set Literal) -> Option<(What, With)> {
        Some(match literal {
            Literal::String(text) => (What::Text, self.text(text)),
            Literal::Bool(flag) => (What::Bool(*flag), With::Nothing),
            Literal::Number(it) => (What::Equal, number(*it)?),
        })
    }

    fn text(&mut self, text: &'set str) -> With {
        With::Text(self.texts.entry(text).or_insert_with(|| SmolStr::new(text)).clone())
    }
}

/// Nothing for an integer outside 64 signed bits, which hardly a rule asks for.
fn number(number: Number) -> Option<With> {
    match number {
        Number::Integer(integer) => i64::try_from(integer).ok().map(With::Integer),
        Number::Float(float) => Some(With::Float(float.to_bits())),
    }
}
