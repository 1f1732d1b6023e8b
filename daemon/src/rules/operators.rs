//! The operators of a test: what operand each takes, and the check that it becomes.
//!
//! Called by `parse` for each operator of a table. An operand of the wrong kind is a fault that says which one is right.

use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use super::condition::{Bound, Check, Condition, Kind, Literal};
use super::fault::Fault;
use super::glob::Glob;
use super::number::Number;
use super::parse::{Key, Parser, Value, a_kind};
use super::path::Step;
use super::pattern::{Pattern, PatternFault};
use super::scope::Scope;
use super::stripe_types;
use super::suggest::nearest;

/// Every operator. A closed set: a field with one of these names is written as a whole path in quotes.
pub const OPERATORS: [&str; 19] = [
    "contains", "eq", "every", "ge", "glob", "gt", "ieq", "in", "is", "le", "len", "lt", "ne", "not_in",
    "prefix", "present", "regex", "some", "suffix",
];

/// How rules of other systems call ours.
pub(super) const FOREIGN: [(&str, &str); 19] = [
    ("anything-but", "not_in"),
    ("anything_but", "not_in"),
    ("ends_with", "suffix"),
    ("endsWith", "suffix"),
    ("equal", "eq"),
    ("equals", "eq"),
    ("exist", "present"),
    ("exists", "present"),
    ("gte", "ge"),
    ("length", "len"),
    ("lte", "le"),
    ("matches", "regex"),
    ("neq", "ne"),
    ("nin", "not_in"),
    ("not_eq", "ne"),
    ("regexp", "regex"),
    ("starts_with", "prefix"),
    ("startsWith", "prefix"),
    ("wildcard", "glob"),
];

const BOUNDS: [(&str, Bound); 4] =
    [("ge", Bound::Ge), ("gt", Bound::Gt), ("le", Bound::Le), ("lt", Bound::Lt)];

/// The condition that one operator of a test states. Faults go to `parser`.
pub(super) fn condition(
    parser: &mut Parser<'_>,
    scope: &Scope,
    key: &Key<'_>,
    value: &Value<'_>,
) -> Condition {
    let operator = key.get_ref().as_ref();
    let negated = match operator {
        "ne" | "not_in" => true,
        "present" => matches!(value.get_ref(), DeValue::Boolean(false)),
        _ => false,
    };
    let Some(check) = check(parser, scope, key, value) else { return Condition::all(Vec::new()) };
    if let Check::In(literals) = &check {
        warn_of_literals(parser, scope, value, literals);
    }
    let condition = parser.test(scope, check);
    if negated { condition.negated() } else { condition }
}

fn check(parser: &mut Parser<'_>, scope: &Scope, key: &Key<'_>, value: &Value<'_>) -> Option<Check> {
    let operator = key.get_ref().as_ref();
    match operator {
        "eq" | "ne" => literal(parser, value).map(|literal| Check::In(vec![literal])),
        "in" | "not_in" => literals(parser, value).map(Check::In),
        "lt" | "le" | "gt" | "ge" => order(parser, scope, operator, value),
        "prefix" => text(parser, operator, value).map(Check::Prefix),
        "suffix" => text(parser, operator, value).map(Check::Suffix),
        "contains" => text(parser, operator, value).map(Check::Contains),
        "glob" => text(parser, operator, value).map(|pattern| Check::Glob(Glob::new(&pattern))),
        "ieq" => text(parser, operator, value).map(Check::EqualsIgnoringCase),
        "present" => flag(parser, operator, value).map(|_| Check::Present),
        "is" => kinds(parser, value).map(Check::Is),
        "len" => lengths(parser, value).map(Check::Length),
        "regex" => regex(parser, value),
        "some" => element(parser, scope, key, value).map(Check::Some),
        "every" => element(parser, scope, key, value).map(Check::Every),
        other => unreachable!("`{other}` is in no list of operators"),
    }
}

/// One scalar to compare with.
pub(super) fn literal(parser: &mut Parser<'_>, value: &Value<'_>) -> Option<Literal> {
    match value.get_ref() {
        DeValue::String(text) => Some(Literal::String(Box::from(text.as_ref()))),
        DeValue::Boolean(flag) => Some(Literal::Bool(*flag)),
        DeValue::Integer(_) | DeValue::Float(_) => number(parser, value).map(Literal::Number),
        DeValue::Datetime(_) => {
            let fault = Fault::new(value.span(), "JSON has no dates");
            parser.fault(fault.help("put it in quotes to compare with a string"));
            None
        }
        other => {
            let message = format!("one value is compared, and this is {}", a_kind(other));
            parser.fault(Fault::new(value.span(), message).help("a list is compared with `in` and `not_in`"));
            None
        }
    }
}

/// A list of scalars, at least one.
pub(super) fn literals(parser: &mut Parser<'_>, value: &Value<'_>) -> Option<Vec<Literal>> {
    let DeValue::Array(list) = value.get_ref() else {
        let message = format!("`in` and `not_in` take a list, and this is {}", a_kind(value.get_ref()));
        parser.fault(Fault::new(value.span(), message).help("write [ … ], or `eq` and `ne` for one value"));
        return None;
    };
    if list.is_empty() {
        let fault = Fault::new(value.span(), "nothing is in an empty list");
        parser.fault(fault.help("list at least one value, or take the test away"));
        return None;
    }
    let literals: Vec<Literal> = list.iter().filter_map(|value| literal(parser, value)).collect();
    (literals.len() == list.len()).then_some(literals)
}

/// Warns of literals that can be meant otherwise, or that can never be found at this path.
pub(super) fn warn_of_literals(
    parser: &mut Parser<'_>,
    scope: &Scope,
    value: &Value<'_>,
    literals: &[Literal],
) {
    for literal in literals {
        match literal {
            Literal::String(text) if matches!(&**text, "present" | "absent" | "missing" | "null") => {
                let flag = &**text == "present";
                let warning = Fault::new(value.span(), format!("this asks for the very text \"{text}\""));
                parser.warn(
                    warning.help(format!("to ask whether the field is there, write {{ present = {flag} }}")),
                );
            }
            Literal::Number(_) | Literal::Bool(_) => warn_of_metadata(parser, scope, value),
            Literal::String(text) => warn_of_type(parser, scope, value, text),
        }
    }
}

/// A type that is nearly one of the provider's, and none.
fn warn_of_type(parser: &mut Parser<'_>, scope: &Scope, value: &Value<'_>, text: &str) {
    let at_type = matches!(scope.path().steps(), [Step::Key(key)] if &**key == "type") && !scope.in_element();
    if let Some(known) = at_type.then(|| stripe_types::mistyped(text)).flatten() {
        let warning = Fault::new(value.span(), format!("Stripe sends no events of type `{text}`"));
        parser.warn(warning.help(format!("did you mean \"{known}\"?")));
    }
}

fn warn_of_metadata(parser: &mut Parser<'_>, scope: &Scope, value: &Value<'_>) {
    let steps = scope.whole_path();
    let in_metadata =
        steps.len() > 1 && steps[..steps.len() - 1].last() == Some(&Step::Key(Box::from("metadata")));
    if in_metadata {
        let warning = Fault::new(value.span(), "Stripe's metadata holds only strings: this test never holds");
        parser.warn(warning.help("put the value in quotes"));
    }
}

fn order(parser: &mut Parser<'_>, scope: &Scope, operator: &str, value: &Value<'_>) -> Option<Check> {
    warn_of_metadata(parser, scope, value);
    let number = number(parser, value)?;
    BOUNDS.iter().find(|(word, _)| *word == operator).map(|(_, bound)| Check::Order(*bound, number))
}

fn number(parser: &mut Parser<'_>, value: &Value<'_>) -> Option<Number> {
    let number = match value.get_ref() {
        DeValue::Integer(integer) => integer_of(integer).map(Number::Integer),
        DeValue::Float(float) => float_of(float).map(Number::Float),
        other => {
            let message = format!("`lt`, `le`, `gt` and `ge` compare numbers, and this is {}", a_kind(other));
            parser.fault(
                Fault::new(value.span(), message).help("strings are not ordered; take the quotes away"),
            );
            return None;
        }
    };
    if number.is_none() {
        let fault = Fault::new(value.span(), "JSON has no such number");
        parser.fault(fault.help("write an integer of at most 64 bits, or a finite float"));
    }
    number
}

fn integer_of(integer: &DeInteger<'_>) -> Option<i128> {
    let value = i128::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

fn float_of(float: &DeFloat<'_>) -> Option<f64> {
    float.as_str().parse().ok().filter(|value: &f64| value.is_finite())
}

/// A text that is not empty: an empty one would fit every string.
fn text(parser: &mut Parser<'_>, operator: &str, value: &Value<'_>) -> Option<Box<str>> {
    match value.get_ref() {
        DeValue::String(text) if !text.is_empty() => Some(Box::from(text.as_ref())),
        DeValue::String(_) => {
            let fault = Fault::new(value.span(), format!("`{operator}` of an empty text asks nothing"));
            parser.fault(fault.help(r#"write eq = "" for the empty string, is = "string" for any"#));
            None
        }
        other => {
            let message = format!("`{operator}` takes a string, and this is {}", a_kind(other));
            parser.fault(Fault::new(value.span(), message).help("put it in quotes"));
            None
        }
    }
}

fn flag(parser: &mut Parser<'_>, operator: &str, value: &Value<'_>) -> Option<bool> {
    if let DeValue::Boolean(flag) = value.get_ref() {
        return Some(*flag);
    }
    let message = format!("`{operator}` takes true or false, and this is {}", a_kind(value.get_ref()));
    parser.fault(Fault::new(value.span(), message).help("write true or false without quotes"));
    None
}

fn kinds(parser: &mut Parser<'_>, value: &Value<'_>) -> Option<Vec<Kind>> {
    match value.get_ref() {
        DeValue::Array(list) if !list.is_empty() => {
            let kinds: Vec<Kind> = list.iter().filter_map(|word| kind(parser, word)).collect();
            (kinds.len() == list.len()).then_some(kinds)
        }
        _ => kind(parser, value).map(|kind| vec![kind]),
    }
}

fn kind(parser: &mut Parser<'_>, value: &Value<'_>) -> Option<Kind> {
    let words = Kind::WORDS.map(|(word, _)| word);
    let DeValue::String(written) = value.get_ref() else {
        let message =
            format!("`is` takes a kind or a list of kinds, and this is {}", a_kind(value.get_ref()));
        parser.fault(Fault::new(value.span(), message).help(format!("the kinds are {}", words.join(", "))));
        return None;
    };
    let found = Kind::WORDS.iter().find(|(word, _)| word == written).map(|(_, kind)| *kind);
    if found.is_none() {
        let guess = match written.as_ref() {
            "boolean" => Some("bool"),
            "integer" | "int" | "float" => Some("number"),
            "text" | "str" => Some("string"),
            "list" => Some("array"),
            "table" | "map" => Some("object"),
            "absent" => Some("missing"),
            other => nearest(other, words),
        };
        let help = match guess {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("the kinds are {}", words.join(", ")),
        };
        parser.fault(Fault::new(value.span(), format!("there is no kind `{written}`")).help(help));
    }
    found
}

const LENGTH_HELP: &str = "write len = 3, or len = { ge = 1, le = 9 }";

fn lengths(parser: &mut Parser<'_>, value: &Value<'_>) -> Option<Vec<(Bound, usize)>> {
    match value.get_ref() {
        DeValue::Table(table) if !table.is_empty() => length_bounds(parser, table),
        _ => length(parser, value).map(|length| vec![(Bound::Ge, length), (Bound::Le, length)]),
    }
}

fn length_bounds(parser: &mut Parser<'_>, table: &DeTable<'_>) -> Option<Vec<(Bound, usize)>> {
    let mut bounds = Vec::new();
    let mut sound = true;
    for (key, value) in table {
        let bound = BOUNDS.iter().find(|(word, _)| *word == key.get_ref().as_ref()).map(|(_, bound)| *bound);
        match (bound, length(parser, value)) {
            (Some(bound), Some(length)) => bounds.push((bound, length)),
            (None, _) => {
                let message =
                    format!("a length is compared with lt, le, gt and ge, not with `{}`", key.get_ref());
                parser.fault(Fault::new(key.span(), message).help(LENGTH_HELP));
                sound = false;
            }
            (Some(_), None) => sound = false,
        }
    }
    sound.then_some(bounds)
}

fn length(parser: &mut Parser<'_>, value: &Value<'_>) -> Option<usize> {
    let length = match value.get_ref() {
        DeValue::Integer(integer) => integer_of(integer).and_then(|length| usize::try_from(length).ok()),
        _ => None,
    };
    if length.is_none() {
        let fault = Fault::new(value.span(), "a length is an integer from 0 on");
        parser.fault(fault.help(LENGTH_HELP));
    }
    length
}

fn regex(parser: &mut Parser<'_>, value: &Value<'_>) -> Option<Check> {
    let text = text(parser, "regex", value)?;
    match Pattern::new(&text) {
        Ok(pattern) => Some(Check::Regex(pattern)),
        Err(fault) => {
            let help = match &fault {
                PatternFault::Syntax(_) => "write it in single quotes, where `\\` is a sign like any other",
                PatternFault::TooCostly => "repeat less often, or less in one another; `glob` may do",
            };
            parser.fault(Fault::new(value.span(), fault.to_string()).help(help));
            None
        }
    }
}

fn element(
    parser: &mut Parser<'_>,
    scope: &Scope,
    key: &Key<'_>,
    value: &Value<'_>,
) -> Option<Box<Condition>> {
    if scope.path().steps().last() != Some(&Step::Each) {
        let word = key.get_ref();
        let fault =
            Fault::new(key.span(), format!("`{word}` is about elements, and its path does not end in [*]"));
        parser.fault(fault.help(format!(r#"write "obj.custom_fields[*]".{word} = {{ … }}"#)));
        return None;
    }
    Some(Box::new(parser.condition(&scope.inside_element(), value)))
}
