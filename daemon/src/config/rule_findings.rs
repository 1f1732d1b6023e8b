//! What is proven about rules, told where they stand: warnings, for a rule that never takes an event loses none.
//!
//! Called by `check` once the rules are compiled.

use super::faults::{Faults, Spot};
use crate::rules::Fault;
use crate::rules::{Finding, RuleSet};

/// `spots` are the rules' names.
pub(super) fn check(rules: &RuleSet, spots: &[Spot], faults: &mut Faults<'_>) {
    for finding in rules.findings() {
        let (rule, warning) = match finding {
            Finding::NeverHolds { rule, path } => {
                let name = &rules.rules()[rule].name;
                let warning = Fault::new(
                    spots[rule].span.clone(),
                    format!(
                        "the rule \"{name}\" never matches: no value of `{path}` passes all that it asks"
                    ),
                );
                (rule, warning.help("its tests exclude each other: take one away, or put them under `any`"))
            }
            Finding::Shadowed { rule, by } => (rule, shadowed(rules, spots, (rule, by), faults)),
        };
        faults.warn(spots[rule].file, warning);
    }
}

fn shadowed(rules: &RuleSet, spots: &[Spot], (rule, by): (usize, usize), faults: &Faults<'_>) -> Fault {
    let (name, other) = (&rules.rules()[rule].name, &rules.rules()[by].name);
    let message = format!("the rule \"{name}\" never takes an event: \"{other}\" takes each one before it");
    let warning = Fault::new(spots[rule].span.clone(), message);
    let warning = match spots[by].file == spots[rule].file {
        true => warning.also(spots[by].span.clone(), "takes them all"),
        false => warning,
    };
    let place = faults.place(&spots[by]);
    warning.help(format!("put it before \"{other}\" ({place}), or let that one say continue = true"))
}
