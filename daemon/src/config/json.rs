//! TOML as JSON: what a plugin gets as its settings, and what the snapshot's hash is taken over.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value that JSON cannot hold, and why.
#[derive(Debug)]
pub(super) struct NotJson {
    pub(super) span: Range<usize>,
    pub(super) why: &'static str,
}

/// The same value as JSON; a date becomes its text.
pub(super) fn value(toml: &Spanned<DeValue<'_>>) -> Result<Value, NotJson> {
    let not_json = |why| NotJson { span: toml.span(), why };
    match toml.get_ref() {
        DeValue::String(text) => Ok(Value::from(text.as_ref())),
        DeValue::Boolean(flag) => Ok(Value::from(*flag)),
        DeValue::Datetime(date) => Ok(Value::from(date.to_string())),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map(Value::from)
            .map_err(|_| not_json("an integer has at most 64 bits")),
        DeValue::Float(float) => float
            .as_str()
            .parse()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| not_json("JSON has no infinity and no NaN")),
        DeValue::Array(list) => list.iter().map(value).collect::<Result<_, _>>().map(Value::Array),
        DeValue::Table(entries) => table(entries),
    }
}

/// The same table as a JSON object.
pub(super) fn table(toml: &DeTable<'_>) -> Result<Value, NotJson> {
    let entries = toml.iter().map(|(key, entry)| Ok((key.get_ref().to_string(), value(entry)?)));
    entries.collect::<Result<Map<_, _>, _>>().map(Value::Object)
}
