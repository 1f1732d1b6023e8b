//! The index proposes every rule that matches: a set decides through it as it does when each rule is asked in turn.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::properties::{Draft, compile, draft, event};
use crate::model::ids::{HandlerName, RuleName, SourceName};
use crate::rules::{Action, Fallback, Rule, RuleSet, Watch};

/// A rule before its condition is compiled.
#[derive(Debug, Clone)]
struct RuleDraft {
    enabled: bool,
    sources: Vec<&'static str>,
    when: Draft,
    drops: bool,
    continues: bool,
}

fn rule() -> impl Strategy<Value = RuleDraft> {
    let sources = prop::sample::subsequence(vec!["stripe", "shop"], 0..=2);
    let flags = (prop::bool::weighted(0.9), prop::bool::weighted(0.1), prop::bool::weighted(0.6));
    (flags, sources, draft()).prop_map(|((enabled, drops, continues), sources, when)| RuleDraft {
        enabled,
        sources,
        when,
        drops,
        continues: continues && !drops,
    })
}

fn rule_set(drafts: &[RuleDraft], fallback: Fallback) -> RuleSet {
    let mut watch = Watch::default();
    let rule = |(number, draft): (usize, &RuleDraft)| Rule {
        name: RuleName::new(&format!("rule {number}")),
        enabled: draft.enabled,
        sources: draft.sources.iter().map(|source| SourceName::new(source)).collect(),
        when: compile(&draft.when, &[], &mut watch),
        action: match draft.drops {
            true => Action::Drop { reason: format!("as rule {number} says") },
            false => Action::Deliver(vec![HandlerName::new(&format!("handler {number}"))]),
        },
        continues: draft.continues,
    };
    let rules = drafts.iter().enumerate().map(rule).collect();
    RuleSet::new(rules, fallback, watch, BTreeMap::new())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn decides_as_asking_each_rule_in_turn_does(
        drafts in prop::collection::vec(rule(), 0..24),
        events in prop::collection::vec(event(), 1..8),
        unrouted in any::<bool>(),
    ) {
        let fallback = match unrouted {
            true => Fallback::Unrouted,
            false => Fallback::Deliver(vec![HandlerName::new("rest")]),
        };
        let set = rule_set(&drafts, fallback);
        for event in events {
            let body = event.to_string();
            for source in ["stripe", "shop", "another"].map(SourceName::new) {
                prop_assert_eq!(
                    set.decide(&source, None, body.as_bytes()),
                    set.decide_one_by_one(&source, None, body.as_bytes()),
                    "{} from {}", body, source
                );
            }
        }
    }
}
