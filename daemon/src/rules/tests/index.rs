//! The index proposes every rule that matches: a set decides through it as it does when each rule is asked in turn.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::properties::{Draft, compile, draft, event};
use crate::model::clock::UnixMillis;
use crate::model::ids::{HandlerName, RuleName, SourceName};
use crate::model::verdict::Verdict;
use crate::rules::{
    Action, Bound, Check, Fallback, Finding, Literal, Number, Path, Rule, RuleSet, Sample, Step, Watch,
    Window,
};

/// A rule before its condition is compiled.
#[derive(Debug, Clone)]
struct RuleDraft {
    enabled: bool,
    shadow: bool,
    active: Option<Window>,
    sampled: bool,
    sources: Vec<&'static str>,
    when: Draft,
    drops: bool,
    continues: bool,
}

fn rule() -> impl Strategy<Value = RuleDraft> {
    let sources = prop::sample::subsequence(vec!["stripe", "shop"], 0..=2);
    let flags = (prop::bool::weighted(0.9), prop::bool::weighted(0.1), prop::bool::weighted(0.6));
    let flags = (flags, prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let active = prop::option::weighted(
        0.2,
        (0_u64..4)
            .prop_map(|from| Window { from: Some(UnixMillis(from)), until: Some(UnixMillis(from + 2)) }),
    );
    (flags, active, sources, draft()).prop_map(|(flags, active, sources, when)| {
        let ((enabled, drops, continues), shadow, sampled) = flags;
        RuleDraft { enabled, shadow, active, sampled, sources, when, drops, continues: continues && !drops }
    })
}

/// Tests that plain rules share with each other, of all kinds that a brief keeps, and of one that it cannot say.
fn shared() -> impl Strategy<Value = Draft> {
    let test = |key: &str, check| Draft::Test(vec![Step::Key(key.into())], check);
    let number = |it: i128| Literal::Number(Number::Integer(it));
    let float = |it: f64| Check::In(vec![Literal::Number(Number::Float(it))]);
    let among = Check::In(vec![Literal::String("x".into()), number(1), Literal::Bool(true)]);
    prop::sample::select(vec![
        test("a", Check::Present),
        test("a", among.clone()),
        Draft::Not(Box::new(test("b", among))),
        test("b", Check::In(vec![number(u64::MAX.into()), number(0)])),
        test("c", float(-0.0)),
        Draft::Not(Box::new(test("c", float(0.0)))),
        test("c", Check::Order(Bound::Ge, Number::Integer(0))),
    ])
}

/// An event that such tests often hold for.
fn event_of_shared() -> impl Strategy<Value = Value> {
    let values = vec![json!("x"), json!(1), json!(true), json!(0), json!(u64::MAX), json!(-0.0), Value::Null];
    prop::collection::btree_map(
        prop::sample::select(vec!["a", "b", "c"]),
        prop::sample::select(values),
        0..=3,
    )
    .prop_map(|fields| json!(fields))
}

/// A rule that its brief can decide.
fn plain_rule() -> impl Strategy<Value = RuleDraft> {
    let when = prop::collection::vec(shared(), 1..=4).prop_map(Draft::All);
    (when, any::<bool>()).prop_map(|(when, continues)| {
        let (sources, active) = (Vec::new(), None);
        RuleDraft {
            enabled: true,
            shadow: false,
            active,
            sampled: false,
            sources,
            when,
            drops: false,
            continues,
        }
    })
}

fn rule_set(drafts: &[RuleDraft], fallback: Fallback) -> RuleSet {
    let mut watch = Watch::default();
    let rule = |(number, draft): (usize, &RuleDraft)| Rule {
        name: RuleName::new(&format!("rule {number}")),
        enabled: draft.enabled,
        shadow: draft.shadow,
        active: draft.active,
        sample: draft.sampled.then(|| {
            let (by, at) = watch.place(&[], &Path::new(vec![Step::Key("a".into())]));
            Sample::new(50.0, by, at)
        }),
        sources: draft.sources.iter().map(|source| SourceName::new(source)).collect(),
        when: compile(&draft.when, &[], &mut watch),
        action: match draft.drops {
            true => Action::Drop { reason: format!("as rule {number} says") },
            false => Action::Deliver([HandlerName::new(&format!("handler {number}"))].into()),
        },
        continues: draft.continues,
    };
    let rules = drafts.iter().enumerate().map(rule).collect();
    RuleSet::new(rules, fallback, watch, BTreeMap::new())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// What the analysis proves of a rule is so for every event.
    #[test]
    fn a_rule_that_is_proven_to_take_nothing_takes_nothing(
        drafts in prop::collection::vec(rule(), 1..8),
        events in prop::collection::vec(event(), 1..12),
    ) {
        let set = rule_set(&drafts, Fallback::Unrouted);
        let useless: Vec<RuleName> = set
            .findings()
            .into_iter()
            .map(|finding| match finding {
                Finding::NeverHolds { rule, .. } | Finding::Shadowed { rule, .. } => set.rules()[rule].name.clone(),
            })
            .collect();
        for event in events {
            for source in ["stripe", "shop", "another"].map(SourceName::new) {
                let ruling = set.decide_one_by_one(&source, None, UnixMillis(1), event.to_string().as_bytes());
                let took = match ruling.verdict {
                    Verdict::Deliver(to) => to.into_iter().map(|assignment| assignment.rule).collect(),
                    Verdict::Dropped { rule, .. } => vec![rule],
                    Verdict::Unrouted { .. } => Vec::new(),
                };
                let wrong = took.iter().chain(&ruling.shadows).find(|rule| useless.contains(rule));
                prop_assert_eq!(wrong, None, "{} from {}", event, source);
            }
        }
    }

    #[test]
    fn decides_as_asking_each_rule_in_turn_does(
        drafts in prop::collection::vec(rule(), 0..24),
        events in prop::collection::vec(event(), 1..8),
        unrouted in any::<bool>(),
        received in (0_u64..6).prop_map(UnixMillis),
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
                    set.decide(&source, None, received, body.as_bytes()),
                    set.decide_one_by_one(&source, None, received, body.as_bytes()),
                    "{} from {}", body, source
                );
            }
        }
    }

    #[test]
    fn rules_that_share_their_tests_are_decided_each_by_its_own(
        drafts in prop::collection::vec(plain_rule(), 1..24),
        events in prop::collection::vec(event_of_shared(), 1..8),
    ) {
        let (set, source) = (rule_set(&drafts, Fallback::Unrouted), SourceName::new("stripe"));
        for event in events {
            let body = event.to_string();
            prop_assert_eq!(
                set.decide(&source, None, UnixMillis(1), body.as_bytes()),
                set.decide_one_by_one(&source, None, UnixMillis(1), body.as_bytes()),
                "{}", body
            );
        }
    }
}
