//! Conditions and values in words.

use super::Shown;
use crate::rules::condition::{Bound, Check, Kind, Literal, Test};
use crate::rules::extract::Found;
use crate::rules::number::Number;

pub(super) const ALL: &str = "all of";
pub(super) const ANY: &str = "any of";
pub(super) const NOT: &str = "not";

/// A string that is shown; Stripe's ids and addresses are shorter.
const LETTERS_MAX: usize = 120;

/// `path question`.
pub(super) fn test(test: &Test) -> String {
    said(test, &question(&test.check))
}

/// The complement of a test.
pub(super) fn negated(test: &Test) -> String {
    let question = match &test.check {
        Check::Present => "is missing or null".to_owned(),
        Check::In(literals) if literals.len() == 1 => format!("is not {}", listed(literals)),
        Check::In(literals) => format!("is none of {}", listed(literals)),
        check => format!("not: {}", question(check)),
    };
    said(test, &question)
}

/// A value as it is shown beside the test that met it.
pub(super) fn shown(found: &Found<'_>) -> Shown {
    let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (kind, text) = match found {
        Found::Missing => ("missing", String::new()),
        Found::Null => ("null", "null".to_owned()),
        Found::Bool(value) => ("bool", value.to_string()),
        Found::Number(value) => ("number", number(*value)),
        Found::String(value) => ("string", quoted(value)),
        Found::Array { length, .. } => ("array", many(*length, "element")),
        Found::Object { length, .. } => ("object", many(*length, "key")),
    };
    Shown { kind, text }
}

fn said(test: &Test, question: &str) -> String {
    match test.path.steps() {
        // The element itself, inside `some`.
        [] => question.to_owned(),
        _ => format!("{} {question}", test.path),
    }
}

fn question(check: &Check) -> String {
    match check {
        Check::In(literals) if literals.len() == 1 => format!("is {}", listed(literals)),
        Check::In(literals) => format!("is one of {}", listed(literals)),
        Check::Order(bound, limit) => format!("{} {}", sign(*bound), number(*limit)),
        Check::Prefix(text) => format!("begins with {}", quoted(text)),
        Check::Suffix(text) => format!("ends with {}", quoted(text)),
        Check::Contains(text) => format!("contains {}", quoted(text)),
        Check::Glob(glob) => format!("fits the glob {}", quoted(&glob.to_string())),
        Check::EqualsIgnoringCase(text) => format!("is {} in any case", quoted(text)),
        Check::Present => "is present".to_owned(),
        Check::Is(kinds) => {
            format!("is {}", kinds.iter().map(|it| word(*it)).collect::<Vec<_>>().join(" or "))
        }
        Check::Length(bounds) if matches!(bounds[..], [(_, low), (_, high)] if low == high) => {
            format!("has a length of {}", bounds[0].1)
        }
        Check::Length(bounds) => {
            let bounds: Vec<String> =
                bounds.iter().map(|(bound, limit)| format!("{} {limit}", sign(*bound))).collect();
            format!("has a length {}", bounds.join(" and "))
        }
        Check::Regex(pattern) => format!("fits the regex {}", quoted(pattern.as_str())),
        Check::Some(_) => "has an element where".to_owned(),
        Check::Every(_) => "has elements, for each of which".to_owned(),
    }
}

fn word(kind: Kind) -> &'static str {
    Kind::WORDS.iter().find(|(_, other)| *other == kind).map_or("", |(word, _)| word)
}

fn sign(bound: Bound) -> &'static str {
    match bound {
        Bound::Lt => "<",
        Bound::Le => "<=",
        Bound::Gt => ">",
        Bound::Ge => ">=",
    }
}

fn listed(literals: &[Literal]) -> String {
    let literal = |literal: &Literal| match literal {
        Literal::String(text) => quoted(text),
        Literal::Bool(value) => value.to_string(),
        Literal::Number(value) => number(*value),
    };
    literals.iter().map(literal).collect::<Vec<_>>().join(", ")
}

fn number(number: Number) -> String {
    match number {
        Number::Integer(integer) => integer.to_string(),
        Number::Float(float) => float.to_string(),
    }
}

/// As JSON, so that control characters do no harm to a terminal; a long text is cut.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(LETTERS_MAX) {
        None => serde_json::Value::from(text).to_string(),
        Some((end, _)) => format!("{}…", serde_json::Value::from(&text[..end])),
    }
}
