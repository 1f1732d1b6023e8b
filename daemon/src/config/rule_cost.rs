//! What a set of rules costs an event, told before it is run: rules that nothing can be looked up for are asked one by
//! one.
//!
//! Called by `check` once the rules are compiled.

use super::faults::{Faults, Spot};
use crate::rules::{Fault, RuleSet};

/// Rules asked of every event: at some 50 ns each, what taking an event of 46 KB apart costs, spent on each event.
const ALWAYS_ASKED_MAX: usize = 1_000;
/// Rules asked of the events that share one value: as many, but only of some events.
const ASKED_TOGETHER_MAX: usize = 1_000;
/// What one rule costs that is asked and does not match.
const NANOS_PER_RULE: usize = 50;

/// `spots` are the rules' names.
pub(super) fn check(rules: &RuleSet, spots: &[Spot], faults: &mut Faults<'_>) {
    let cost = rules.cost();
    let micros = |rules: usize| rules * NANOS_PER_RULE / 1_000;
    if let Some(spot) = cost.always.get(ALWAYS_ASKED_MAX).and_then(|rule| spots.get(*rule as usize)) {
        let rules = cost.always.len();
        let message = format!(
            "{rules} rules are asked of every event, about {} µs each time: this is the first beyond {ALWAYS_ASKED_MAX}",
            micros(rules)
        );
        let help = "let each ask for something that an event's value can be looked up by: an equality, a \
                    beginning, a bound; `type` is enough";
        faults.fault(spot.file, Fault::new(spot.span.clone(), message).help(help));
    }
    if let Some(spot) = cost.longest.get(ASKED_TOGETHER_MAX).and_then(|rule| spots.get(*rule as usize)) {
        let rules = cost.longest.len();
        let message = format!(
            "{rules} rules share their rarest test, so one event may have to ask them all, about {} µs: this is the \
             first beyond {ASKED_TOGETHER_MAX}",
            micros(rules)
        );
        let help = "let them differ in an equality, a beginning or a bound";
        faults.warn(spot.file, Fault::new(spot.span.clone(), message).help(help));
    }
}
