//! `[[rule]]` and `[default]`: who gets which events.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{RawFallback, RawSource};
use crate::config::elements::{Invalid, name};
use crate::config::faults::Spotted;
use crate::config::reader::Reader;
use crate::model::clock::UnixMillis;
use crate::model::ids::{HandlerName, RuleName, SourceName};
use crate::rules::{
    Action, Aliases, Condition, DEFAULT_RULE, Fallback, Fault, Parser, Paths, Rule, Sample, Watch, Window,
};

/// A share smaller than this takes no event a year.
const PERCENT_RANGE: RangeInclusive<f64> = 0.0001..=100.0;
/// What a verdict may store as a reason.
const REASON_BYTES_MAX: usize = 256;

/// A rule whose handlers and sources are not yet looked up.
#[derive(Debug)]
pub(in crate::config) struct RawRule {
    pub(in crate::config) name: Spotted<RuleName>,
    pub(in crate::config) rule: Rule,
    pub(in crate::config) handlers: Vec<Spotted<HandlerName>>,
    pub(in crate::config) sources: Vec<Spotted<SourceName>>,
}

/// What the rules of all files share: where they look, and how the paths are written that lead there.
#[derive(Debug)]
pub(in crate::config) struct Terms {
    sources: Vec<(SourceName, Aliases)>,
    /// By the sources that a rule names.
    paths: BTreeMap<Vec<String>, Paths>,
    watch: Watch,
}

impl Terms {
    pub(super) fn new(sources: &[RawSource]) -> Self {
        let sources = sources.iter().map(|it| (it.name.value.clone(), it.aliases.clone())).collect();
        Self { sources, paths: BTreeMap::new(), watch: Watch::default() }
    }

    /// The paths that the rules look at.
    pub(in crate::config) fn into_watch(self) -> Watch {
        self.watch
    }

    /// A parser for a rule that names these sources: none, and it sees all.
    fn parser(&mut self, named: &[Spotted<String>]) -> Parser<'_> {
        let names = named.iter().map(|name| name.value.clone()).collect();
        let paths = self.paths.entry(names).or_insert_with(|| {
            let is_seen = |name: &SourceName| {
                named.is_empty() || named.iter().any(|named| named.value == name.as_str())
            };
            let seen = self.sources.iter().filter(|(name, _)| is_seen(name));
            Paths::new(Aliases::common(seen.map(|(_, aliases)| aliases)))
        });
        Parser::new(&mut self.watch, paths)
    }
}

pub(super) fn read_all(file: &mut Reader<'_, '_, '_>, terms: &mut Terms) -> Vec<RawRule> {
    let Some(value) = file.get("rule") else { return Vec::new() };
    let DeValue::Array(list) = value.get_ref() else {
        let fault = Fault::new(value.span(), "rules are an array of tables");
        file.fault(fault.help("write [[rule]], with two brackets"));
        return Vec::new();
    };
    let mut rules = Vec::new();
    for entry in list {
        match entry.get_ref() {
            DeValue::Table(table) => {
                let title = match table.get("name").map(Spanned::get_ref) {
                    Some(DeValue::String(name)) => format!("the rule \"{name}\""),
                    _ => "a rule".to_owned(),
                };
                let section = Reader::new(file.file, title, entry.span(), table, file.faults);
                rules.push(read(section, terms));
            }
            _ => file.fault(Fault::new(entry.span(), "a rule is a table").help("write [[rule]]")),
        }
    }
    rules
}

fn read(mut section: Reader<'_, '_, '_>, terms: &mut Terms) -> RawRule {
    section.require("name", "write name = \"…\": it stands beside every delivery that the rule makes");
    let name = section.parsed("name", "a string", "\"sumo purchase\"", rule_name);
    let enabled = section.flag("enabled").unwrap_or(true);
    let sources = section.list("source", true, as_name).map(|list| list.value).unwrap_or_default();
    let when = read_when(&mut section, terms, &sources);
    let sample = read_sample(&mut section, terms, &sources);
    let active = read_active(&mut section);
    let shadow = section.flag("shadow").unwrap_or(false);
    let continues = section.flag("continue").unwrap_or(false);
    let handlers = read_handlers(&mut section);
    let reason = section.parsed("drop", "a reason", "\"test data\"", reason);
    refuse_contradictions(&mut section, continues);
    let name = name.unwrap_or_else(|| Spotted { value: String::new(), spot: section.own_spot() });
    section.finish();
    let name = name.map(|name| RuleName::new(&name));
    let action = match reason {
        Some(reason) => Action::Drop { reason: reason.value },
        None => Action::Deliver(handlers.iter().map(|handler| handler.value.clone()).collect()),
    };
    let rule = Rule {
        name: name.value.clone(),
        enabled,
        shadow,
        active,
        sample,
        sources: sources
            .iter()
            .map(|source| source.value.clone())
            .map(|name| SourceName::new(&name))
            .collect(),
        when,
        action,
        continues,
    };
    let sources = sources.into_iter().map(|source| source.map(|name| SourceName::new(&name))).collect();
    RawRule { name, rule, handlers, sources }
}

pub(super) fn read_default(main: &mut Reader<'_, '_, '_>) -> RawFallback {
    let mut raw = RawFallback { fallback: Fallback::Unrouted, handlers: Vec::new() };
    let Some(mut section) = main.section("default") else {
        let help = "write [default] with unrouted = true (kept and shown), or handlers = [\"…\"]";
        main.fault(super::missing(
            "there is no [default]: it says what becomes of an event that no rule takes",
            help,
        ));
        return raw;
    };
    let unrouted = section.flag("unrouted");
    raw.handlers = read_handlers(&mut section);
    let handlers_written = section.whole().contains_key("handlers");
    if handlers_written == (unrouted == Some(true)) {
        let place = section.own_spot().span;
        let fault = Fault::new(place, "[default] says either `handlers` or `unrouted = true`");
        section.fault(fault.help("write one of the two; `unrouted` keeps the event and shows it"));
    }
    section.finish();
    if !raw.handlers.is_empty() {
        raw.fallback = Fallback::Deliver(raw.handlers.iter().map(|handler| handler.value.clone()).collect());
    }
    raw
}

fn read_when(section: &mut Reader<'_, '_, '_>, terms: &mut Terms, sources: &[Spotted<String>]) -> Condition {
    section.require("when", "write when = { type = \"…\" }; what takes every event is [default]");
    let Some(when) = section.get("when") else { return Condition::all(Vec::new()) };
    let mut parser = terms.parser(sources);
    let condition = parser.when(when);
    let (faults, warnings) = (parser.faults, parser.warnings);
    for fault in faults {
        section.fault(fault);
    }
    for warning in warnings {
        section.faults.warn(section.file, warning);
    }
    condition
}

/// `sample = { percent = 5, by = "id" }`
fn read_sample(
    section: &mut Reader<'_, '_, '_>,
    terms: &mut Terms,
    sources: &[Spotted<String>],
) -> Option<Sample> {
    let mut table = section.table("sample")?;
    table.require("percent", "write percent = 5: so many in a hundred of the events that match are taken");
    let percent = table.number("percent", *PERCENT_RANGE.end(), PERCENT_RANGE);
    let place = table.own_spot().span;
    let by = table.text("by");
    let (by, span) = by.map_or_else(|| ("id".to_owned(), place), |by| (by.value, by.spot.span));
    let mut parser = terms.parser(sources);
    let sample = parser.sample(percent, &by, span);
    for fault in parser.faults {
        table.fault(fault);
    }
    table.finish();
    sample
}

/// `active = { from = 2026-12-01T00:00:00Z, until = 2027-01-01T00:00:00Z }`
fn read_active(section: &mut Reader<'_, '_, '_>) -> Option<Window> {
    let mut table = section.table("active")?;
    let (from, until) = (read_moment(&mut table, "from"), read_moment(&mut table, "until"));
    let place = table.own_spot().span;
    match (from, until) {
        (None, None) if !["from", "until"].iter().any(|key| table.whole().contains_key(*key)) => {
            let fault = Fault::new(place, "`active` says neither `from` nor `until`");
            table.fault(fault.help("write active = { from = 2026-12-01T00:00:00Z }, or take it away"));
        }
        (Some(from), Some(until)) if until <= from => {
            let fault = Fault::new(place, "`active` ends before it begins: the rule would never match");
            table.fault(fault.help("let `until` be later than `from`; it is not part of the time"));
        }
        _ => {}
    }
    table.finish();
    Some(Window { from, until })
}

/// A moment with its zone.
pub(super) fn read_moment(table: &mut Reader<'_, '_, '_>, key: &'static str) -> Option<UnixMillis> {
    let value = table.get(key)?;
    let moment = match value.get_ref() {
        DeValue::Datetime(moment) => moment.to_string().parse::<Timestamp>().ok(),
        _ => None,
    };
    let millis = moment.and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
    if millis.is_none() {
        let fault = Fault::new(value.span(), format!("`{key}` is no moment"));
        let help = "write a date and time with its zone, without quotes: 2026-12-01T00:00:00Z";
        table.fault(fault.help(help));
    }
    millis.map(UnixMillis)
}

fn read_handlers(section: &mut Reader<'_, '_, '_>) -> Vec<Spotted<HandlerName>> {
    let Some(list) = section.list("handlers", false, as_name) else { return Vec::new() };
    let written = section.whole().get("handlers").map(Spanned::get_ref);
    if matches!(written, Some(DeValue::Array(list)) if list.is_empty()) {
        let fault = Fault::new(list.spot.span, "`handlers` names no handler");
        section.fault(fault.help("name at least one; a rule that delivers nothing says drop = \"why\""));
    }
    let mut handlers: Vec<Spotted<HandlerName>> = Vec::new();
    for handler in list.value {
        if handlers.iter().any(|other| *other.value.as_str() == *handler.value) {
            let message = format!("the handler `{}` is named twice", handler.value);
            section.fault(
                Fault::new(handler.spot.span, message).help("a handler gets an event once: take one away"),
            );
            continue;
        }
        handlers.push(handler.map(|name| HandlerName::new(&name)));
    }
    handlers
}

fn refuse_contradictions(section: &mut Reader<'_, '_, '_>, continues: bool) {
    let table: &DeTable<'_> = section.whole();
    let (place, title) = (section.own_spot().span, section.title().to_owned());
    match (table.get_key_value("handlers"), table.get_key_value("drop")) {
        (Some((handlers, _)), Some((drop, _))) => {
            let fault = Fault::new(drop.span(), format!("{title} both delivers and drops"));
            let fault = fault.also(handlers.span(), "delivers");
            section.fault(fault.help("keep one of `handlers` and `drop`"));
        }
        (None, None) => {
            let fault =
                Fault::new(place, format!("{title} says neither `handlers` nor `drop`")).about_the_whole();
            section.fault(fault.help("write handlers = [\"…\"], or drop = \"why\""));
        }
        (None, Some((drop, _))) if continues => {
            let fault = Fault::new(drop.span(), format!("{title} drops, and lets the search go on"));
            section.fault(fault.help("take `continue` away: an event that goes on is not dropped"));
        }
        _ => {}
    }
}

fn as_name(text: &str) -> Result<String, Invalid> {
    name::parse(text)
}

fn rule_name(text: &str) -> Result<String, Invalid> {
    if text == DEFAULT_RULE {
        let message = format!("`{DEFAULT_RULE}` is the name of what stands behind every rule");
        return Err(Invalid::new(message, "choose another name"));
    }
    name::parse_rule(text)
}

fn reason(text: &str) -> Result<String, Invalid> {
    if text.trim().is_empty() || text.len() > REASON_BYTES_MAX || text.chars().any(char::is_control) {
        let help =
            format!("say in one line of at most {REASON_BYTES_MAX} bytes why: it is shown beside the event");
        return Err(Invalid::new("`drop` gives no reason", help));
    }
    Ok(text.to_owned())
}
