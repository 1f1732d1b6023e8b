//! What is proven about rules, told where they stand: warnings, for a rule that never takes an event loses none.
//!
//! Called by `check` once the rules are compiled.

use super::faults::{Faults, Spot, Spotted};
use crate::rules::{Fault, Finding, Path, RuleSet};

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
            Finding::Shadowed { rule, by } => (rule, shadowed(rules, spots, (rule, &by), faults)),
        };
        faults.warn(spots[rule].file, warning);
    }
}

/// Rules see what is stored: of what is redacted, only that it is there.
pub(super) fn check_redacted(rules: &RuleSet, redacted: &[Spotted<Path>], faults: &mut Faults<'_>) {
    for Spotted { value: path, spot } in redacted {
        if let Some(looked) = rules.looks_within(path).first() {
            let message = format!("a rule looks at `{looked}`, which is redacted");
            let help =
                "it finds \"[redacted]\" there, or null where a number was; keep it, or ask something else";
            faults.warn(spot.file, Fault::new(spot.span.clone(), message).help(help));
        }
    }
}

fn shadowed(rules: &RuleSet, spots: &[Spot], (rule, by): (usize, &[usize]), faults: &Faults<'_>) -> Fault {
    let name = |rule: usize| format!("\"{}\"", rules.rules()[rule].name);
    let others: Vec<String> = by.iter().map(|other| name(*other)).collect();
    let (takes, takes_all, that_one) = match by.len() {
        1 => ("takes each one before it", "takes them all", "that one"),
        _ => ("together take each one before it", "takes some of them", "those"),
    };
    let message = format!("the rule {} never takes an event: {} {takes}", name(rule), others.join(" and "));
    let mut warning = Fault::new(spots[rule].span.clone(), message);
    if let Some(other) = by.iter().find(|other| spots[**other].file == spots[rule].file) {
        warning = warning.also(spots[*other].span.clone(), takes_all);
    }
    let places: Vec<String> =
        by.iter().map(|other| format!("{} ({})", name(*other), faults.place(&spots[*other]))).collect();
    warning.help(format!("put it before {}, or let {that_one} say continue = true", places.join(" and ")))
}
