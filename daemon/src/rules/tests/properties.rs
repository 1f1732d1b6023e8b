//! Laws of the language, over random conditions and random events: the evaluator agrees with a naive reading of
//! the whole JSON, De Morgan holds, `not` is the exact complement, and nothing absent is present.

use proptest::prelude::*;
use serde_json::Value;

use crate::rules::{
    Bound, Check, Condition, Glob, Kind, Literal, Number, Path, Pattern, Step, Test, Watch, extract, holds,
};

/// A condition before anyone watches its paths.
#[derive(Debug, Clone)]
pub(super) enum Draft {
    All(Vec<Draft>),
    Any(Vec<Draft>),
    Not(Box<Draft>),
    Test(Vec<Step>, Check),
    Some(Vec<Step>, Box<Draft>),
    Every(Vec<Step>, Box<Draft>),
}

/// Four keys, so that paths and events meet often.
fn key() -> impl Strategy<Value = Box<str>> {
    prop::sample::select(vec!["a", "b", "c", "a.b"]).prop_map(Box::from)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(prop_oneof![4 => key().prop_map(Step::Key), 1 => Just(Step::Each)], 1..4)
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "x", "xy", "X", "yx", "xyxyxyxyyyxx", "yxyxxyxyx"]).prop_map(str::to_owned)
}

fn check() -> impl Strategy<Value = Check> {
    let literal = prop_oneof![
        word().prop_map(|text| Literal::String(text.into())),
        any::<bool>().prop_map(Literal::Bool),
        (-2_i128..3).prop_map(|number| Literal::Number(Number::Integer(number))),
        Just(Literal::Number(Number::Float(1.5))),
    ];
    let bound = prop::sample::select(vec![Bound::Lt, Bound::Le, Bound::Gt, Bound::Ge]);
    let kinds = prop::collection::vec(prop::sample::select(Kind::WORDS.map(|(_, kind)| kind).to_vec()), 1..3);
    prop_oneof![
        prop::collection::vec(literal, 1..3).prop_map(Check::In),
        (bound.clone(), -2_i128..3).prop_map(|(bound, number)| Check::Order(bound, Number::Integer(number))),
        word().prop_map(|text| Check::Prefix(text.into())),
        word().prop_map(|text| Check::Suffix(text.into())),
        word().prop_map(|text| Check::Contains(text.into())),
        "[xy*]{0,3}".prop_map(|pattern| Check::Glob(Glob::new(&pattern))),
        word().prop_map(|text| Check::EqualsIgnoringCase(text.into())),
        prop::sample::select(vec!["^x", "xy$", "xy|yx", "[xy]{3}", "(?i)X", "yxyxx.*"])
            .prop_map(|text| Check::Regex(Pattern::new(text).unwrap())),
        Just(Check::Present),
        kinds.prop_map(Check::Is),
        (bound, 0_usize..3).prop_map(|limit| Check::Length(vec![limit])),
    ]
}

pub(super) fn draft() -> impl Strategy<Value = Draft> {
    let leaf = (steps(), check()).prop_map(|(steps, check)| Draft::Test(steps, check));
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Draft::All),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Draft::Any),
            inner.clone().prop_map(|draft| Draft::Not(Box::new(draft))),
            (steps(), any::<bool>(), inner).prop_map(|(mut steps, every, draft)| {
                steps.push(Step::Each);
                let draft = Box::new(draft);
                if every { Draft::Every(steps, draft) } else { Draft::Some(steps, draft) }
            }),
        ]
    })
}

pub(super) fn event() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        Just(Value::from(1.5)),
        Just(Value::from(1.0)),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            3 => prop::collection::btree_map(key().prop_map(String::from), inner.clone(), 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            1 => prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

pub(super) fn compile(whole: &Draft, outer: &[Step], watch: &mut Watch) -> Condition {
    let mut test = |steps: &[Step], check: Check| {
        let path = Path::new(steps.to_vec());
        let at = watch.add(outer, &path);
        Condition::Test(Test { path, at, check })
    };
    match whole {
        Draft::All(drafts) => {
            Condition::All(drafts.iter().map(|draft| compile(draft, outer, watch)).collect())
        }
        Draft::Any(drafts) => {
            Condition::Any(drafts.iter().map(|draft| compile(draft, outer, watch)).collect())
        }
        Draft::Not(draft) => compile(draft, outer, watch).negated(),
        Draft::Test(steps, check) => test(steps, check.clone()),
        Draft::Some(steps, draft) | Draft::Every(steps, draft) => {
            let element: Vec<Step> = outer.iter().chain(steps).cloned().collect();
            let inner = compile(draft, &element, watch);
            let some = matches!(whole, Draft::Some(..));
            let path = Path::new(steps.clone());
            let at = watch.add(outer, &path);
            let inner = Box::new(inner);
            let check = if some { Check::Some(inner) } else { Check::Every(inner) };
            Condition::Test(Test { path, at, check })
        }
    }
}

fn decide(draft: &Draft, event: &Value) -> bool {
    let mut watch = Watch::default();
    let condition = compile(draft, &[], &mut watch);
    let body = event.to_string();
    let extracted = extract(&watch, body.as_bytes()).unwrap();
    assert_eq!(extracted.duplicate, None);
    holds(&condition, &extracted.root)
}

/// The same question asked of the whole JSON, the slow and obvious way.
fn naively(draft: &Draft, event: &Value) -> bool {
    match draft {
        Draft::All(drafts) => drafts.iter().all(|draft| naively(draft, event)),
        Draft::Any(drafts) => drafts.iter().any(|draft| naively(draft, event)),
        Draft::Not(draft) => !naively(draft, event),
        Draft::Some(steps, draft) => values(steps, event).into_iter().any(|value| naively(draft, value)),
        Draft::Every(steps, draft) => {
            let values = values(steps, event);
            !values.is_empty() && values.into_iter().all(|value| naively(draft, value))
        }
        Draft::Test(steps, check) => {
            let values = values(steps, event);
            let missing =
                values.is_empty() && matches!(check, Check::Is(kinds) if kinds.contains(&Kind::Missing));
            missing || values.into_iter().any(|value| value_fits(check, value))
        }
    }
}

fn values<'event>(steps: &[Step], event: &'event Value) -> Vec<&'event Value> {
    steps.iter().fold(vec![event], |values, step| {
        let below = |value: &'event Value| -> Vec<&'event Value> {
            match (step, value) {
                (Step::Key(key), Value::Object(map)) => map.get(&**key).into_iter().collect(),
                (Step::Each, Value::Array(list)) => list.iter().collect(),
                _ => Vec::new(),
            }
        };
        values.into_iter().flat_map(below).collect()
    })
}

fn value_fits(check: &Check, value: &Value) -> bool {
    let number = |number: &Number| match number {
        Number::Integer(integer) => *integer as f64,
        Number::Float(float) => *float,
    };
    match check {
        Check::In(literals) => literals.iter().any(|literal| match literal {
            Literal::String(text) => value.as_str() == Some(text),
            Literal::Bool(flag) => value.as_bool() == Some(*flag),
            Literal::Number(it) => value.as_f64() == Some(number(it)),
        }),
        Check::Order(bound, it) => {
            value.as_f64().is_some_and(|value| bound.admits(value.partial_cmp(&number(it)).unwrap()))
        }
        Check::Prefix(text) => value.as_str().is_some_and(|value| value.starts_with(&**text)),
        Check::Suffix(text) => value.as_str().is_some_and(|value| value.ends_with(&**text)),
        Check::Contains(text) => value.as_str().is_some_and(|value| value.contains(&**text)),
        Check::Regex(pattern) => value.as_str().is_some_and(|value| pattern.matches(value)),
        // Held against its definition in `glob`.
        Check::Glob(glob) => value.as_str().is_some_and(|value| glob.matches(value)),
        Check::EqualsIgnoringCase(text) => {
            value.as_str().is_some_and(|value| value.eq_ignore_ascii_case(text))
        }
        Check::Present => !value.is_null(),
        Check::Is(kinds) => kinds.iter().any(|kind| match kind {
            Kind::Missing => false,
            Kind::Null => value.is_null(),
            Kind::Bool => value.is_boolean(),
            Kind::Number => value.is_number(),
            Kind::String => value.is_string(),
            Kind::Object => value.is_object(),
            Kind::Array => value.is_array(),
        }),
        Check::Length(bounds) => {
            let length = match value {
                Value::String(text) => text.len(),
                Value::Array(list) => list.len(),
                Value::Object(map) => map.len(),
                _ => return false,
            };
            bounds.iter().all(|(bound, limit)| bound.admits(length.cmp(limit)))
        }
        Check::Some(_) | Check::Every(_) => unreachable!("a draft of its own"),
    }
}

fn not(draft: &Draft) -> Draft {
    Draft::Not(Box::new(draft.clone()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn agrees_with_a_naive_reading_of_the_whole_event(draft in draft(), event in event()) {
        prop_assert_eq!(decide(&draft, &event), naively(&draft, &event));
    }

    #[test]
    fn not_is_the_exact_complement(draft in draft(), event in event()) {
        prop_assert_eq!(decide(&not(&draft), &event), !decide(&draft, &event));
    }

    #[test]
    fn de_morgan(left in draft(), right in draft(), event in event()) {
        let both = vec![left.clone(), right.clone()];
        let negated = vec![not(&left), not(&right)];
        let (all, any) = (Draft::All(both.clone()), Draft::Any(both));
        prop_assert_eq!(decide(&not(&all), &event), decide(&Draft::Any(negated.clone()), &event));
        prop_assert_eq!(decide(&not(&any), &event), decide(&Draft::All(negated), &event));
    }

    #[test]
    fn nothing_absent_is_present_or_passes_any_other_test(steps in steps(), check in check(), event in event()) {
        let absent = values(&steps, &event).into_iter().all(Value::is_null);
        if absent {
            prop_assert!(!decide(&Draft::Test(steps.clone(), Check::Present), &event));
            if !matches!(check, Check::Is(_)) {
                prop_assert!(!decide(&Draft::Test(steps, check), &event));
            }
        }
    }

    #[test]
    fn any_bytes_have_a_verdict(body in prop::collection::vec(any::<u8>(), 0..60), draft in draft()) {
        let mut watch = Watch::default();
        let condition = compile(&draft, &[], &mut watch);
        if let Ok(extracted) = extract(&watch, &body) {
            holds(&condition, &extracted.root);
        }
    }
}
