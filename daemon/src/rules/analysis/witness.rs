//! An event made up so that a rule matches it in one certain way. Whoever uses one asks the rule whether it did.

use serde_json::{Map, Value, json};

use super::clauses::Clause;
use super::domain::{Domain, domains};
use crate::rules::condition::{Bound, Check, Kind};
use crate::rules::extract::Found;
use crate::rules::number::Number;
use crate::rules::path::{Path, Step};

/// An event's body; `None` where no value comes to mind.
pub(super) fn of(clause: &Clause<'_>) -> Option<String> {
    let mut event = Value::Object(Map::new());
    for (path, domain) in domains(clause) {
        match value(&domain)? {
            Value::Null if domain.kinds.contains(&Kind::Missing) => {}
            value => put(&mut event, path, value)?,
        }
    }
    Some(event.to_string())
}

fn put(event: &mut Value, path: &Path, value: Value) -> Option<()> {
    let place = path.steps().iter().try_fold(event, |place, step| match step {
        Step::Key(key) => {
            if place.is_null() {
                *place = Value::Object(Map::new());
            }
            Some(place.as_object_mut()?.entry(&**key).or_insert(Value::Null))
        }
        Step::Each => None,
    })?;
    // A longer path may already have made an object of it.
    if !(place.is_object() && value.is_object()) {
        *place = value;
    }
    Some(())
}

/// A value of the domain, null where none is needed.
fn value(domain: &Domain<'_>) -> Option<Value> {
    if domain.values.is_some() {
        return domain.remaining().next().and_then(json_of);
    }
    match domain.kinds[..] {
        [Kind::Number] => number(domain),
        [Kind::String] => Some(Value::from(text(domain))),
        _ if domain.kinds.contains(&Kind::Missing) || domain.kinds.contains(&Kind::Null) => Some(Value::Null),
        _ if domain.kinds.contains(&Kind::String) => Some(Value::from(text(domain))),
        [Kind::Object, ..] => Some(json!({})),
        [Kind::Array, ..] => Some(json!([])),
        [Kind::Bool, ..] => Some(Value::from(true)),
        _ => None,
    }
}

fn json_of(found: &Found<'_>) -> Option<Value> {
    match found {
        Found::String(text) => Some(Value::from(&**text)),
        Found::Bool(flag) => Some(Value::from(*flag)),
        Found::Number(number) => json_of_number(*number),
        _ => None,
    }
}

fn json_of_number(number: Number) -> Option<Value> {
    match number {
        Number::Integer(integer) => {
            i64::try_from(integer).map(Value::from).or_else(|_| u64::try_from(integer).map(Value::from)).ok()
        }
        Number::Float(float) => Some(Value::from(float)),
    }
}

/// One of the bounds, or a neighbour of one.
fn number(domain: &Domain<'_>) -> Option<Value> {
    let bounds: Vec<(Bound, Number)> = domain.bounds().collect();
    let neighbours = bounds.iter().flat_map(|(_, number)| match number {
        Number::Integer(integer) => [0, 1, -1].map(|step| Number::Integer(integer + step)),
        Number::Float(float) => [0.0, 0.5, -0.5].map(|step| Number::Float(float + step)),
    });
    let fits = |number: &Number| {
        bounds.iter().all(|(bound, limit)| number.compare(*limit).is_some_and(|it| bound.admits(it)))
    };
    neighbours.chain([Number::Integer(0)]).find(fits).and_then(json_of_number)
}

/// What every test asks for, one after the other.
fn text(domain: &Domain<'_>) -> String {
    let (mut head, mut middle, mut tail) = (String::new(), String::new(), String::new());
    for check in domain.tests.iter().filter(|it| !it.negated).map(|it| &it.test.check) {
        match check {
            Check::Prefix(text) if text.len() > head.len() => head = text.to_string(),
            Check::Suffix(text) if text.len() > tail.len() => tail = text.to_string(),
            Check::Contains(text) | Check::EqualsIgnoringCase(text) => middle.push_str(text),
            Check::Glob(glob) => {
                middle.push_str(glob.head());
                glob.middle().iter().for_each(|piece| middle.push_str(piece));
                middle.push_str(glob.tail().unwrap_or_default());
            }
            _ => {}
        }
    }
    head + &middle + &tail
}
