//! A condition as the ways in which it can hold: each a list of tests that must hold, or must not.

use crate::rules::condition::{Condition, Test};

/// Ways of one condition; with more of them nothing is proven about it.
pub(super) const CLAUSES_MAX: usize = 64;

/// A test, or its complement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Literal<'rule> {
    pub(super) test: &'rule Test,
    pub(super) negated: bool,
}

/// One way: all of these.
pub(super) type Clause<'rule> = Vec<Literal<'rule>>;

/// Every way in which `condition` holds; `None` where they are too many.
pub(super) fn clauses(condition: &Condition) -> Option<Vec<Clause<'_>>> {
    ways(condition, false)
}

/// Every way in which `condition` does not hold; `None` where they are too many.
pub(super) fn complement_clauses(condition: &Condition) -> Option<Vec<Clause<'_>>> {
    ways(condition, true)
}

/// Both at once.
pub(super) fn joined<'rule>(left: &Clause<'rule>, right: &Clause<'rule>) -> Clause<'rule> {
    left.iter().chain(right).copied().collect()
}

fn ways(condition: &Condition, negated: bool) -> Option<Vec<Clause<'_>>> {
    match (condition, negated) {
        (Condition::Test(test), negated) => Some(vec![vec![Literal { test, negated }]]),
        (Condition::Not(condition), negated) => ways(condition, !negated),
        (Condition::All(conditions), false) | (Condition::Any(conditions), true) => {
            conditions.iter().try_fold(vec![Vec::new()], |all, condition| {
                let more = ways(condition, negated)?;
                let both = all.iter().flat_map(|left| more.iter().map(|right| joined(left, right)));
                (all.len() * more.len() <= CLAUSES_MAX).then(|| both.collect())
            })
        }
        (Condition::Any(conditions), false) | (Condition::All(conditions), true) => {
            let mut any = Vec::new();
            for condition in conditions {
                any.extend(ways(condition, negated)?);
            }
            (any.len() <= CLAUSES_MAX).then_some(any)
        }
    }
}
