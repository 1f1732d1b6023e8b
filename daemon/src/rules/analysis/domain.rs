//! What the tests of one way leave of the values at each path.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::clauses::{Clause, Literal};
use crate::rules::condition::{self, Bound, Check, Kind};
use crate::rules::evaluate::check_holds;
use crate::rules::extract::Found;
use crate::rules::number::Number;
use crate::rules::path::Path;

/// What is left at a path that holds at most one value.
#[derive(Debug, Clone)]
pub(super) struct Domain<'rule> {
    pub(super) kinds: Vec<Kind>,
    /// Where only these few come into question; of the kinds above.
    pub(super) values: Option<Vec<Found<'rule>>>,
    pub(super) tests: Vec<Literal<'rule>>,
}

/// The path at which the tests of `clause` exclude each other, if they do at one.
pub(super) fn contradiction<'rule>(clause: &Clause<'rule>) -> Option<&'rule Path> {
    let opposed = |left: &Literal<'rule>, right: &Literal<'rule>| {
        left.negated != right.negated
            && left.test.path == right.test.path
            && left.test.check == right.test.check
    };
    if let Some(found) = clause.iter().find(|left| clause.iter().any(|right| opposed(left, right))) {
        return Some(&found.test.path);
    }
    domains(clause).into_iter().find(|(_, domain)| domain.is_empty()).map(|(path, _)| path)
}

/// What is left at each path, those with `[*]` left out.
pub(super) fn domains<'rule>(clause: &Clause<'rule>) -> BTreeMap<&'rule Path, Domain<'rule>> {
    let mut domains: BTreeMap<&Path, Domain<'_>> = BTreeMap::new();
    for literal in clause.iter().filter(|literal| literal.test.at.is_single()) {
        domains.entry(&literal.test.path).or_insert_with(Domain::everything).narrow(*literal);
    }
    let present: Vec<&Path> = domains
        .iter()
        .filter(|(_, domain)| !domain.kinds.contains(&Kind::Missing))
        .map(|(path, _)| *path)
        .collect();
    // What something stands below is an object.
    for (path, domain) in &mut domains {
        let below = |longer: &&Path| {
            longer.steps().len() > path.steps().len() && longer.steps().starts_with(path.steps())
        };
        if present.iter().any(below) {
            domain.keep(&[Kind::Object]);
        }
    }
    domains
}

impl<'rule> Domain<'rule> {
    fn everything() -> Self {
        Self { kinds: Kind::WORDS.map(|(_, kind)| kind).to_vec(), values: None, tests: Vec::new() }
    }

    fn keep(&mut self, kinds: &[Kind]) {
        self.kinds.retain(|kind| kinds.contains(kind));
    }

    fn narrow(&mut self, literal: Literal<'rule>) {
        self.tests.push(literal);
        let kinds = Kind::WORDS.map(|(_, kind)| kind);
        match (&literal.test.check, literal.negated) {
            (Check::Present, false) => self.kinds.retain(|kind| ![Kind::Missing, Kind::Null].contains(kind)),
            (Check::Present, true) => self.keep(&[Kind::Missing, Kind::Null]),
            (Check::Is(is), false) => self.keep(is),
            (Check::Is(is), true) => {
                self.keep(&kinds.into_iter().filter(|kind| !is.contains(kind)).collect::<Vec<_>>());
            }
            (Check::In(literals), false) => {
                let values: Vec<Found<'rule>> = literals.iter().map(found).collect();
                self.keep(&values.iter().map(Found::kind).collect::<Vec<Kind>>());
                self.values.get_or_insert(values);
            }
            (Check::Order(..), false) => self.keep(&[Kind::Number]),
            (Check::Length(_), false) => self.keep(&[Kind::String, Kind::Array, Kind::Object]),
            (
                Check::Prefix(_)
                | Check::Suffix(_)
                | Check::Contains(_)
                | Check::Glob(_)
                | Check::Regex(_)
                | Check::EqualsIgnoringCase(_),
                false,
            ) => self.keep(&[Kind::String]),
            (Check::Some(_) | Check::Every(_), _) | (_, true) => {}
        }
    }

    fn is_empty(&self) -> bool {
        if self.kinds.is_empty() {
            return true;
        }
        if self.values.is_some() {
            return self.remaining().next().is_none();
        }
        match self.kinds[..] {
            [Kind::Number] => self.no_number_is_left(),
            [Kind::String] => self.no_text_is_left(),
            _ => false,
        }
    }

    /// Those of the few values that pass every test.
    pub(super) fn remaining(&self) -> impl Iterator<Item = &Found<'rule>> {
        let passes = |value: &&Found<'rule>| {
            self.kinds.contains(&value.kind())
                && self.tests.iter().all(|it| check_holds(&it.test.check, value) != it.negated)
        };
        self.values.iter().flatten().filter(passes)
    }

    /// The bounds on a number, complements turned round: at a place where only numbers are left, not less is at least.
    pub(super) fn bounds(&self) -> impl Iterator<Item = (Bound, Number)> {
        self.tests.iter().filter_map(|it| match (&it.test.check, it.negated) {
            (Check::Order(bound, number), false) => Some((*bound, *number)),
            (Check::Order(bound, number), true) => Some((opposite(*bound), *number)),
            _ => None,
        })
    }

    fn no_number_is_left(&self) -> bool {
        let lower = |(bound, _): &(Bound, Number)| matches!(bound, Bound::Gt | Bound::Ge);
        let bounds: Vec<(Bound, Number)> = self.bounds().collect();
        bounds.iter().filter(|it| lower(it)).any(|(low_bound, low)| {
            bounds.iter().filter(|it| !lower(it)).any(|(high_bound, high)| match low.compare(*high) {
                Some(Ordering::Greater) => true,
                Some(Ordering::Equal) => *low_bound == Bound::Gt || *high_bound == Bound::Lt,
                _ => false,
            })
        })
    }

    /// Two beginnings or two ends of which neither begins (or ends) with the other; or one that must be there and one
    /// that must not, and the first brings the second with it.
    fn no_text_is_left(&self) -> bool {
        let pairs = self.tests.iter().flat_map(|left| self.tests.iter().map(move |right| (left, right)));
        pairs.filter(|(left, _)| !left.negated).any(|(left, right)| {
            match (&left.test.check, &right.test.check) {
                (Check::Prefix(one), Check::Prefix(other)) => match right.negated {
                    true => one.starts_with(&**other),
                    false => !one.starts_with(&**other) && !other.starts_with(&**one),
                },
                (Check::Suffix(one), Check::Suffix(other)) => match right.negated {
                    true => one.ends_with(&**other),
                    false => !one.ends_with(&**other) && !other.ends_with(&**one),
                },
                (Check::Prefix(one) | Check::Suffix(one) | Check::Contains(one), Check::Contains(other)) => {
                    right.negated && one.contains(&**other)
                }
                _ => false,
            }
        })
    }
}

fn opposite(bound: Bound) -> Bound {
    match bound {
        Bound::Lt => Bound::Ge,
        Bound::Le => Bound::Gt,
        Bound::Gt => Bound::Le,
        Bound::Ge => Bound::Lt,
    }
}

fn found(literal: &condition::Literal) -> Found<'_> {
    match literal {
        condition::Literal::String(text) => Found::String((&**text).into()),
        condition::Literal::Bool(flag) => Found::Bool(*flag),
        condition::Literal::Number(number) => Found::Number(*number),
    }
}
