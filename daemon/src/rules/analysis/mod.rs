//! What can be proven about rules without an event: conditions that never hold, and rules that an earlier one leaves
//! nothing to.
//!
//! Called by `config` when a snapshot is checked. Whatever is told is certain; what cannot be decided within the bounds
//! here is not told. A rule is taken apart into its ways to match (conjunctions of tests, `clauses`); a way in which the
//! tests of one path exclude each other is none (`domain`). Rule `k` gets nothing where an earlier one takes everything
//! (`k and not j` has no way). Which `j` may do that is found with an event made up for `k` (`witness`), which `j` must
//! match too: so ten thousand rules cost ten thousand look-ups and not a hundred million comparisons.

mod clauses;
mod domain;
mod witness;

use clauses::{Clause, clauses, complement_clauses, joined};
use domain::contradiction;

use super::evaluate::holds;
use super::extract::extract;
use super::path::Path;
use super::ruleset::{Rule, RuleSet};
use crate::model::ids::SourceName;

/// Earlier rules that one rule is held against; what shadows it is more often among the first.
const ASKED_MAX: usize = 64;

/// Something proven about a rule. Rules are numbers in [`RuleSet::rules`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// What it asks of the value at `path` cannot all be so.
    NeverHolds { rule: usize, path: Path },
    /// Every event that it would match is taken by `by`, which stands before it.
    Shadowed { rule: usize, by: usize },
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

/// An earlier rule that takes everything that `number` would.
fn shadowing(set: &RuleSet, number: usize, ways: &[&Clause<'_>]) -> Option<usize> {
    let rule = &set.rules()[number];
    ways.iter().find_map(|way| {
        let body = witness::of(way)?;
        let extracted = extract(set.watch(), body.as_bytes()).ok()?;
        if !holds(&rule.when, &extracted.root) {
            return None;
        }
        let source = rule.sources.first().cloned().unwrap_or_else(|| SourceName::new(""));
        let mut earlier = set.candidates_of(&source, &extracted.root).map(|other| other as usize);
        earlier.by_ref().take_while(|other| *other < number).take(ASKED_MAX).find(|other| {
            let other = &set.rules()[*other];
            takes_always(other)
                && sees_all_of(other, rule)
                && holds(&other.when, &extracted.root)
                && implied(ways, other)
        })
    })
}

/// Whether it ends the search for every event that its condition holds for.
fn takes_always(rule: &Rule) -> bool {
    rule.enabled && !rule.continues && !rule.shadow && rule.active.is_none() && rule.sample.is_none()
}

fn sees_all_of(other: &Rule, rule: &Rule) -> bool {
    other.sources.is_empty()
        || (!rule.sources.is_empty() && rule.sources.iter().all(|source| other.sources.contains(source)))
}

/// Whether `other` matches whatever matches in one of these ways.
fn implied(ways: &[&Clause<'_>], other: &Rule) -> bool {
    let Some(escapes) = complement_clauses(&other.when) else { return false };
    ways.iter().all(|way| escapes.iter().all(|escape| contradiction(&joined(way, escape)).is_some()))
}
