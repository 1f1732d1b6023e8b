//! Held against another engine: what both languages can say finds the same rules in both.
//!
//! Left out, because the languages differ there on purpose: null (for quamina it is there), arrays (it looks into them
//! unasked), presence of objects (it knows only leaves), and `anything-but` (it asks for something to be there).

use std::collections::BTreeMap;

use proptest::prelude::*;
use quamina::Quamina;
use serde_json::{Value, json};

use crate::model::clock::UnixMillis;
use crate::model::ids::{HandlerName, RuleName, SourceName};
use crate::model::verdict::Verdict;
use crate::rules::{
    Action, Bound, Check, Condition, Fallback, Literal, Number, Path, Rule, RuleSet, Step, Test, Watch,
};

/// What is asked of one field.
#[derive(Debug, Clone)]
enum Ask {
    Among(Vec<String>),
    Equal(i64),
    Prefix(String),
    Suffix(String),
    Within(i64, i64),
    There,
}

const FIELDS: [(&str, &str); 4] = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")];

fn word() -> impl Strategy<Value = String> {
    "[pq]{1,3}"
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        prop::collection::vec(word(), 1..3).prop_map(Ask::Among),
        (-3_i64..4).prop_map(Ask::Equal),
        word().prop_map(Ask::Prefix),
        word().prop_map(Ask::Suffix),
        (-3_i64..4, 1_i64..4).prop_map(|(low, width)| Ask::Within(low, low + width)),
        Just(Ask::There),
    ]
}

/// For each field, what a rule asks of it; at least one is asked.
fn rule() -> impl Strategy<Value = Vec<(usize, Ask)>> {
    prop::sample::subsequence(vec![0, 1, 2, 3], 1..=3)
        .prop_flat_map(|fields| fields.into_iter().map(|field| (Just(field), ask())).collect::<Vec<_>>())
}

fn event() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => word().prop_map(Value::from),
        3 => (-4_i64..8).prop_map(Value::from),
        1 => Just(Value::from(true)),
        1 => Just(Value::from(1.5)),
    ];
    prop::collection::vec(prop::option::of(leaf), 4).prop_map(|leaves| {
        let mut event = json!({"a": {}, "b": {}, "c": 1});
        for ((outer, inner), leaf) in FIELDS.iter().zip(leaves) {
            if let Some(leaf) = leaf {
                event[outer][inner] = leaf;
            }
        }
        event
    })
}

impl Ask {
    fn theirs(&self) -> Value {
        match self {
            Self::Among(words) => json!(words),
            Self::Equal(number) => json!([number]),
            Self::Prefix(text) => json!([{"prefix": text}]),
            Self::Suffix(text) => json!([{"suffix": text}]),
            Self::Within(low, high) => json!([{"numeric": [">=", low, "<", high]}]),
            Self::There => json!([{"exists": true}]),
        }
    }

    fn ours(&self) -> Vec<Check> {
        let text = |text: &String| Literal::String(text.as_str().into());
        let number = |number: &i64| Number::Integer(i128::from(*number));
        match self {
            Self::Among(words) => vec![Check::In(words.iter().map(text).collect())],
            Self::Equal(it) => vec![Check::In(vec![Literal::Number(number(it))])],
            Self::Prefix(text) => vec![Check::Prefix(text.as_str().into())],
            Self::Suffix(text) => vec![Check::Suffix(text.as_str().into())],
            Self::Within(low, high) => {
                vec![Check::Order(Bound::Ge, number(low)), Check::Order(Bound::Lt, number(high))]
            }
            Self::There => vec![Check::Present],
        }
    }
}

fn ours(rules: &[Vec<(usize, Ask)>]) -> RuleSet {
    let mut watch = Watch::default();
    let rule = |(number, asks): (usize, &Vec<(usize, Ask)>)| {
        let mut tests = Vec::new();
        for (field, ask) in asks {
            let (outer, inner) = FIELDS[*field];
            let path = Path::new([outer, inner].map(|key| Step::Key(key.into())).to_vec());
            for check in ask.ours() {
                tests.push(Condition::Test(Test { path: path.clone(), at: watch.add(&[], &path), check }));
            }
        }
        Rule {
            continues: true,
            ..Rule::plain(
                RuleName::new(&number.to_string()),
                Condition::all(tests),
                Action::Deliver([HandlerName::new(&number.to_string())].into()),
            )
        }
    };
    let rules = rules.iter().enumerate().map(rule).collect();
    RuleSet::new(rules, Fallback::Unrouted, watch, BTreeMap::new())
}

/// One engine a rule: where patterns of several kinds meet on one field, quamina 0.7.0 finds rules that it would not find
/// alone.
fn theirs(rules: &[Vec<(usize, Ask)>]) -> Vec<Quamina<usize>> {
    let alone = |(number, asks): (usize, &Vec<(usize, Ask)>)| {
        let mut pattern = json!({});
        for (field, ask) in asks {
            let (outer, inner) = FIELDS[*field];
            pattern[outer][inner] = ask.theirs();
        }
        let mut quamina = Quamina::new();
        quamina.add_pattern(number, &pattern.to_string()).unwrap();
        quamina
    };
    rules.iter().enumerate().map(alone).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn finds_the_same_rules(
        rules in prop::collection::vec(rule(), 1..20),
        events in prop::collection::vec(event(), 1..10),
    ) {
        let (set, engines) = (ours(&rules), theirs(&rules));
        for event in events {
            let body = event.to_string();
            let found: Vec<usize> = match set.decide(&SourceName::new("s"), None, UnixMillis(0), body.as_bytes()).verdict {
                Verdict::Deliver(to) => to.iter().map(|it| it.rule.as_str().parse().unwrap()).collect(),
                _ => Vec::new(),
            };
            let expected: Vec<usize> =
                engines.iter().flat_map(|engine| engine.matches_for_event(body.as_bytes()).unwrap()).collect();
            prop_assert_eq!(found, expected, "{}", body);
        }
    }
}
