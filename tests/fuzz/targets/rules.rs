//! Rules: any text is parsed or refused with words, and once compiled nothing that an event holds makes them fail.
//!
//! Input: a rule file, a zero byte, an event's body. Each `[[rule]]`'s `when` is parsed by itself; those without fault are
//! asked about the event. Held: `not` is the exact complement; an answer is the same when asked again, and does not change
//! with white space around the event; what could be read was JSON; the whole set has a verdict on anything.
#![no_main]

use std::collections::BTreeMap;

use hookyard::model::clock::UnixMillis;
use hookyard::model::ids::{HandlerName, RuleName, SourceName};
use hookyard::model::verdict::Verdict;
use hookyard::rules::{Action, Condition, Fallback, Parser, Paths, Rule, RuleSet, Watch, extract, holds};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use toml::de::{DeTable, DeValue};

fuzz_target!(|input: &[u8]| {
    let zero = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let Ok(text) = std::str::from_utf8(&input[..zero]) else { return };
    let body = input.get(zero + 1..).unwrap_or_default();
    let mut watch = Watch::default();
    let conditions = conditions(text, &mut watch);

    let mut padded = b" \n".to_vec();
    padded.extend_from_slice(body);
    padded.extend_from_slice(b"\t\r\n");
    match (extract(&watch, body), extract(&watch, &padded)) {
        (Ok(plain), Ok(padded)) => {
            serde_json::from_slice::<IgnoredAny>(body).expect("what was read is JSON");
            for condition in &conditions {
                let held = holds(condition, &plain.root);
                assert_eq!(held, holds(condition, &padded.root), "white space changed an answer");
                assert_eq!(!held, holds(&condition.clone().negated(), &plain.root), "`not` is no complement");
            }
        }
        (Err(fault), Err(_)) => assert!(!fault.to_string().is_empty()),
        (plain, padded) => panic!("white space changed what can be read: {plain:?} {padded:?}"),
    }
    decide(conditions, watch, body);
});

/// The conditions of the rules in `text` that have no fault.
fn conditions(text: &str, watch: &mut Watch) -> Vec<Condition> {
    let (table, _) = DeTable::parse_recoverable(text);
    let Some(DeValue::Array(rules)) = table.get_ref().get("rule").map(|rules| rules.get_ref()) else {
        return Vec::new();
    };
    let mut paths = Paths::stripe();
    let mut sound = Vec::new();
    for rule in rules.iter() {
        let DeValue::Table(rule) = rule.get_ref() else { continue };
        let Some(when) = rule.get("when") else { continue };
        let mut parser = Parser::new(watch, &mut paths);
        let condition = parser.when(when);
        for fault in parser.faults.iter().chain(&parser.warnings) {
            assert!(fault.span.end <= text.len(), "a fault stands behind the text");
        }
        if parser.faults.is_empty() {
            sound.push(condition);
        }
    }
    sound
}

/// The whole set's verdict: each rule asks for a copy, so that every rule is asked.
fn decide(conditions: Vec<Condition>, watch: Watch, body: &[u8]) {
    let source = SourceName::new("fuzz");
    let count = conditions.len();
    let rule = |(number, when): (usize, Condition)| Rule {
        continues: true,
        ..Rule::plain(
            RuleName::new(&number.to_string()),
            when,
            Action::Deliver([HandlerName::new(&number.to_string())].into()),
        )
    };
    let rules = conditions.into_iter().enumerate().map(rule).collect();
    let set = RuleSet::new(rules, Fallback::Unrouted, watch, BTreeMap::new());
    let ruling = set.decide(&source, None, UnixMillis(0), body);
    assert_eq!(ruling, set.decide_one_by_one(&source, None, UnixMillis(0), body), "the index hides a rule");
    match ruling.verdict {
        Verdict::Deliver(to) => assert!(!to.is_empty() && to.len() <= count),
        Verdict::Unrouted { reason } => assert!(!reason.is_empty()),
        Verdict::Dropped { .. } => panic!("no rule drops"),
    }
}
