//! `[[test]]`: an event, and who should get it.

use std::path::PathBuf;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::rule::read_moment;
use super::source::RawSource;
use crate::config::elements::name;
use crate::config::faults::{Spot, Spotted};
use crate::config::json;
use crate::config::reader::Reader;
use crate::model::clock::UnixMillis;
use crate::rules::{Aliases, Fault, place};

/// A test whose handlers, rules and source are not yet looked up.
#[derive(Debug)]
pub(in crate::config) struct RawTest {
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) event: TestEvent,
    pub(in crate::config) source: Option<Spotted<String>>,
    /// When the event came, for rules that say `active`; 1970 where the test says nothing, so that a test of today
    /// passes tomorrow.
    pub(in crate::config) received: UnixMillis,
    pub(in crate::config) handlers: Vec<Spotted<String>>,
    /// `None`: whichever rules it is.
    pub(in crate::config) rules: Option<Vec<Spotted<String>>>,
    /// Where the test is told to have failed.
    pub(in crate::config) spot: Spot,
}

/// What is routed.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) enum TestEvent {
    /// A file that holds an event as the provider would post it.
    File(PathBuf),
    Inline(Value),
}

pub(super) fn read_all(file: &mut Reader<'_, '_, '_>, sources: &[RawSource]) -> Vec<RawTest> {
    let Some(value) = file.get("test") else { return Vec::new() };
    let DeValue::Array(list) = value.get_ref() else {
        let fault = Fault::new(value.span(), "tests are an array of tables");
        file.fault(fault.help("write [[test]], with two brackets"));
        return Vec::new();
    };
    let mut tests = Vec::new();
    for entry in list {
        match entry.get_ref() {
            DeValue::Table(table) => {
                let title = match table.get("name").map(Spanned::get_ref) {
                    Some(DeValue::String(name)) => format!("the test \"{name}\""),
                    _ => "a test".to_owned(),
                };
                let section = Reader::new(file.file, title, entry.span(), table, file.faults);
                tests.extend(read(section, sources));
            }
            _ => file.fault(Fault::new(entry.span(), "a test is a table").help("write [[test]]")),
        }
    }
    tests
}

fn read(mut section: Reader<'_, '_, '_>, sources: &[RawSource]) -> Option<RawTest> {
    section.require("event", "write event = { type = \"…\" }, or event = \"a/file.json\"");
    section.require("expect", "write expect = [\"a handler\"], or expect = [] where nobody should get it");
    let name = section.parsed("name", "a string", "\"a sumo checkout goes to sumo\"", name::parse_rule);
    let source = section.text("source");
    let event = read_event(&mut section, &aliases_of(source.as_ref(), sources));
    let received = read_moment(&mut section, "received").unwrap_or_default();
    let expect = section.list("expect", false, |text| Ok(text.to_owned()));
    let rules = section.list("rules", false, |text| Ok(text.to_owned()));
    section.finish();
    let expect = expect?;
    Some(RawTest {
        name: name.map(|name| name.value),
        event: event?,
        source,
        received,
        spot: expect.spot,
        handlers: expect.value,
        rules: rules.map(|rules| rules.value),
    })
}

/// What a rule of this source could write; without one, what a rule of all sources could.
fn aliases_of(source: Option<&Spotted<String>>, sources: &[RawSource]) -> Aliases {
    let comes_from = |it: &&RawSource| source.is_none_or(|source| source.value == it.name.value.as_str());
    Aliases::common(sources.iter().filter(comes_from).map(|it| &it.aliases))
}

fn read_event(section: &mut Reader<'_, '_, '_>, aliases: &Aliases) -> Option<TestEvent> {
    let value = section.get("event")?;
    match value.get_ref() {
        DeValue::String(_) => section.path("event").map(|path| TestEvent::File(path.value)),
        DeValue::Table(table) => inline(section, table, aliases).map(TestEvent::Inline),
        _ => {
            let fault = Fault::new(value.span(), "`event` takes the event's fields, or the name of a file");
            section
                .fault(fault.help("write event = { type = \"…\", metadata.x = \"…\" }; null needs a file"));
            None
        }
    }
}

/// The fields as JSON. A key is a path, as in a rule's `when`.
fn inline(section: &mut Reader<'_, '_, '_>, table: &DeTable<'_>, aliases: &Aliases) -> Option<Value> {
    let mut event = Value::Object(Map::new());
    let mut sound = true;
    for (key, value) in table {
        let read = json::value(value).map_err(|not_json| (not_json.span, not_json.why.to_owned()));
        let set = read.and_then(|value| {
            let steps = place(key.get_ref(), aliases).map_err(|why| (key.span(), why))?;
            put(&mut event, &steps, value)
                .ok_or_else(|| (key.span(), format!("`{}` stands inside what is no object", key.get_ref())))
        });
        if let Err((span, why)) = set {
            let help = "write fields as a rule's `when` has them, each with its value";
            section.fault(Fault::new(span, why).help(help));
            sound = false;
        }
    }
    sound.then_some(event)
}

/// Puts a value at a place, beside what stands there already. `None` where something else than an object is in the way.
fn put(at: &mut Value, steps: &[String], value: Value) -> Option<()> {
    let Some((step, rest)) = steps.split_first() else {
        match (at, value) {
            (Value::Object(there), Value::Object(more)) => there.extend(more),
            (at, value) => *at = value,
        }
        return Some(());
    };
    let below = at.as_object_mut()?.entry(step.as_str()).or_insert_with(|| Value::Object(Map::new()));
    put(below, rest, value)
}
