//! What can be proven about rules without an event: conditions that never hold, and rules that an earlier one leaves
//! nothing to.
//!
//! Called by `config` when a snapshot is checked. Whatever is told is certain; what cannot be decided within the bounds
//! here is not told. A rule is taken apart into its ways to match (conjunctions of tests, `clauses`); a way in which the
//! tests of one path exclude each other is none (`domain`). Rule `k` gets nothing where earlier ones take everything
//! (`k and not i and not j` has no way). Which may do that is found with an event made up for `k` (`witness`), which `i`
//! must match too, and then with one that `i` leaves: so ten thousand rules cost ten thousand look-ups and not a hundred
//! million comparisons, and a rule that some event reaches costs one.

mod clauses;
mod domain;
mod witness;

use clauses::{CLAUSES_MAX, Clause, clauses, complement_clauses, joined};
use domain::contradiction;

use super::evaluate::holds;
use super::extract::extract;
use super::path::Path;
use super::ruleset::{Rule, RuleSet};
use crate::model::ids::SourceName;

/// Earlier rules that one rule is held against; what shadows it is more often among the first.
const ASKED_MAX: usize = 64;

/// Rules that together take what another one would; each asks for what the ones before it left.
const TOGETHER_MAX: usize = 16;

/// Something proven about a rule. Rules are numbers in [`RuleSet::rules`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// What it asks of the value at `path` cannot all be so.
    NeverHolds { rule: usize, path: Path },
    /// Every event that it would match is taken by one of `by`, which stand before it.
    Shadowed { rule: usize, by: Vec<usize> },
}

/// Everything that is proven about the rules of a set, in their order.
pub(super) fn findings(set: &RuleSet) -> Vec<Finding> {
    let finding = |number: usize| {
        let rule = &set.rules()[number];
        let ways = clauses(&rule.when)?;
        let possible: Vec<&Clause<'_>> = ways.iter().filter(|way| contradiction(way).is_none()).collect();
        if possible.is_empty() {
            let path = ways.iter().find_map(contradiction)?.clone();
            return Some(Finding::NeverHolds { rule: number, path });
        }
        shadowing(set, number, &possible).map(|by| Finding::Shadowed { rule: number, by })
    };
    (0..set.rules().len()).filter(|number| set.rules()[*number].enabled).filter_map(finding).collect()
}

/// Earlier rules that together take everything that `number` would, none of them in vain.
fn shadowing(set: &RuleSet, number: usize, ways: &[&Clause<'_>]) -> Option<Vec<usize>> {
    let takers = ways.iter().find_map(|way| takers(set, number, way))?;
    match takers.iter().find(|other| all_taken(set, ways, &[**other])) {
        Some(alone) => Some(vec![*alone]),
        None if takers.is_empty() => None,
        None => together(set, number, ways),
    }
}

/// Takes an event that none of the rules found so far takes, and adds one that does, until there is no such event.
fn together(set: &RuleSet, number: usize, ways: &[&Clause<'_>]) -> Option<Vec<usize>> {
    let mut by = Vec::new();
    while by.len() <= TOGETHER_MAX {
        let left = left_by(set, ways, &by)?;
        match left.first() {
            Some(way) => by.push(*takers(set, number, way)?.first()?),
            None => return Some(without_the_idle(set, ways, by)),
        }
    }
    None
}

/// Those of `by` without which something would be left.
fn without_the_idle(set: &RuleSet, ways: &[&Clause<'_>], by: Vec<usize>) -> Vec<usize> {
    let mut needed = by.clone();
    for other in by {
        let others: Vec<usize> = needed.iter().copied().filter(|it| *it != other).collect();
        if all_taken(set, ways, &others) {
            needed = others;
        }
    }
    needed.sort_unstable();
    needed
}

/// The earlier rules that take an event made up for this way of `number`; `None` where none comes to mind or nobody does.
fn takers(set: &RuleSet, number: usize, way: &Clause<'_>) -> Option<Vec<usize>> {
    let rule = &set.rules()[number];
    let body = witness::of(way)?;
    let extracted = extract(set.watch(), body.as_bytes()).ok()?;
    if !holds(&rule.when, &extracted.root) {
        return None;
    }
    let source = rule.sources.first().cloned().unwrap_or_else(|| SourceName::new(""));
    let earlier = set.candidates_of(&source, &extracted.root).map(|other| other as usize);
    let takes = |other: &usize| {
        let other = &set.rules()[*other];
        takes_always(other) && sees_all_of(other, rule) && holds(&other.when, &extracted.root)
    };
    Some(earlier.take_while(|other| *other < number).take(ASKED_MAX).filter(takes).collect())
}

/// Whether it ends the search for every event that its condition holds for.
fn takes_always(rule: &Rule) -> bool {
    rule.is_unlimited() && !rule.continues && !rule.shadow
}

fn sees_all_of(other: &Rule, rule: &Rule) -> bool {
    other.sources.is_empty()
        || (!rule.sources.is_empty() && rule.sources.iter().all(|source| other.sources.contains(source)))
}

/// Whether these rules match whatever matches in one of these ways.
fn all_taken(set: &RuleSet, ways: &[&Clause<'_>], by: &[usize]) -> bool {
    left_by(set, ways, by).is_some_and(|left| left.is_empty())
}

/// The ways in which none of these rules matches too; `None` where they are too many.
fn left_by<'set>(set: &'set RuleSet, ways: &[&Clause<'set>], by: &[usize]) -> Option<Vec<Clause<'set>>> {
    let mut left: Vec<Clause<'_>> = ways.iter().map(|way| (*way).clone()).collect();
    for other in by {
        let escapes = complement_clauses(&set.rules()[*other].when)?;
        let both = left.iter().flat_map(|way| escapes.iter().map(|escape| joined(way, escape)));
        left = both.filter(|way| contradiction(way).is_none()).take(CLAUSES_MAX + 1).collect();
        if left.len() > CLAUSES_MAX {
            return None;
        }
    }
    Some(left)
}
