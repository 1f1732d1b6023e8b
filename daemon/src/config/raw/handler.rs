//! `[handler.x]`: a plugin set up for one purpose, with its limits, retries and secrets.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeString, DeTable};

use super::confine;
use crate::config::elements::secret::SecretRef;
use crate::config::elements::{isolation, name, origin};
use crate::config::faults::Spotted;
use crate::config::json;
use crate::config::reader::Reader;
use crate::config::snapshot::{
    CONCURRENCY_DEFAULT, CONCURRENCY_MAX, HANDLER_TIMEOUT_DEFAULT, PROCESSES_DEFAULT, PROCESSES_MAX,
};
use crate::model::confinement::Confinement;
use crate::model::http_access::HttpAccess;
use crate::model::ids::{HandlerName, PluginName};
use crate::model::isolation::Isolation;
use crate::model::retry::RetrySchedule;
use crate::rules::Fault;

/// A lease is as long as the timeout: hours would hide a hang.
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60 * 60);
const WAIT_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(30 * 24 * 60 * 60);
/// Below 1 the waits would shrink.
const FACTOR_RANGE: RangeInclusive<f64> = 1.0..=100.0;
const ATTEMPTS_RANGE: RangeInclusive<usize> = 1..=1000;
const JITTER_RANGE: RangeInclusive<f64> = 0.0..=1.0;

/// `[handler.x]` with its secrets still references.
#[derive(Debug)]
pub(in crate::config) struct RawHandler {
    pub(in crate::config) name: Spotted<HandlerName>,
    pub(in crate::config) plugin: Option<Spotted<PluginName>>,
    pub(in crate::config) concurrency: usize,
    pub(in crate::config) isolation: Isolation,
    pub(in crate::config) processes: usize,
    pub(in crate::config) timeout: Duration,
    pub(in crate::config) retry: RetrySchedule,
    pub(in crate::config) settings: Value,
    pub(in crate::config) secrets: Vec<(String, Spotted<SecretRef>)>,
    pub(in crate::config) confine: Option<Confinement>,
    pub(in crate::config) http: HttpAccess,
    /// The file of `http` that has to be readable.
    pub(in crate::config) ca: Option<Spotted<PathBuf>>,
}

pub(super) fn read_all(main: &mut Reader<'_, '_, '_>) -> Vec<RawHandler> {
    let tables = main.named_tables("handler");
    tables.into_iter().map(|(name, table)| read(main, name, table)).collect()
}

fn read(main: &mut Reader<'_, '_, '_>, name: &Spanned<DeString<'_>>, table: &DeTable<'_>) -> RawHandler {
    let (name, mut section) = main.named("handler", name, table, name::parse);
    section.require("plugin", "write plugin = \"…\", the name of a [plugin.x]");
    let plugin = section.text("plugin");
    let concurrency = section.count("concurrency", CONCURRENCY_DEFAULT, 1..=CONCURRENCY_MAX);
    let processes = read_processes(&mut section, concurrency);
    let timeout = section.duration("timeout", HANDLER_TIMEOUT_DEFAULT, TIMEOUT_RANGE);
    let retry = read_retry(&mut section);
    let settings = read_settings(&mut section);
    let secrets = read_secrets(&mut section);
    let confine = confine::read(&mut section, concurrency);
    let (http, ca) = read_http(&mut section);
    let isolation = read_isolation(&mut section, processes, confine.is_some());
    section.not_yet("serialize");
    section.finish();
    RawHandler {
        name: name.map(|name| HandlerName::new(&name)),
        plugin: plugin.map(|plugin| plugin.map(|name| PluginName::new(&name))),
        concurrency,
        isolation,
        processes,
        timeout,
        retry,
        settings,
        secrets,
        confine,
        http,
        ca,
    }
}

/// A process that is never called would only look like a safeguard.
fn read_processes(section: &mut Reader<'_, '_, '_>, concurrency: usize) -> usize {
    let processes = section.count("processes", PROCESSES_DEFAULT, 1..=PROCESSES_MAX);
    if processes > concurrency
        && let Some(written) = section.whole().get("processes").map(Spanned::span)
    {
        let message = format!("`processes` is {processes}, and only {concurrency} calls run at once");
        let help = "make `concurrency` as large, or `processes` smaller: the handler's calls are shared out among them";
        section.fault(Fault::new(written, message).help(help));
    }
    processes
}

/// Inside the daemon there is no process: neither several of them, nor bounds of one.
fn read_isolation(section: &mut Reader<'_, '_, '_>, processes: usize, confined: bool) -> Isolation {
    let isolation = section.parsed("isolation", "a word", "\"process\"", isolation::parse);
    let isolation = isolation.map_or_else(Isolation::default, |isolation| isolation.value);
    let contradictions = [
        ("processes", processes > 1, "there are no processes to share its calls out among"),
        ("confine", confined, "what bounds its plugin would bound the daemon"),
    ];
    for (key, written, why) in contradictions {
        if isolation == Isolation::Inline
            && written
            && let Some((key, _)) = section.whole().get_key_value(key)
        {
            let message = format!("`{}` stands beside isolation = \"inline\": {why}", key.get_ref());
            let help =
                "take one of the two away: the plugin runs in processes of its own, or inside the daemon";
            section.fault(Fault::new(key.span(), message).help(help));
        }
    }
    isolation
}

fn read_retry(section: &mut Reader<'_, '_, '_>) -> RetrySchedule {
    let mut retry = RetrySchedule::default();
    let Some(mut table) = section.table("retry") else { return retry };
    retry.first = table.duration("first", retry.first, WAIT_RANGE);
    retry.factor = table.number("factor", retry.factor, FACTOR_RANGE);
    retry.max = table.duration("max", retry.max.max(retry.first), WAIT_RANGE);
    let attempts = table.count("attempts", retry.attempts as usize, ATTEMPTS_RANGE);
    retry.attempts = u32::try_from(attempts).unwrap_or(retry.attempts);
    retry.jitter = table.number("jitter", retry.jitter, JITTER_RANGE);
    if retry.first > retry.max {
        let place = table.own_spot().span;
        let fault = Fault::new(place, "the first wait of `retry` is longer than its `max`");
        table.fault(fault.help("make `first` shorter or `max` longer"));
    }
    table.finish();
    retry
}

fn read_settings(section: &mut Reader<'_, '_, '_>) -> Value {
    let Some(mut table) = section.table("settings") else { return Value::Object(Map::new()) };
    json::table(table.whole()).unwrap_or_else(|not_json| {
        let fault = Fault::new(not_json.span, "a plugin gets its settings as JSON, which cannot hold this");
        table.fault(fault.help(not_json.why));
        Value::Null
    })
}

fn read_secrets(section: &mut Reader<'_, '_, '_>) -> Vec<(String, Spotted<SecretRef>)> {
    let Some(mut table) = section.table("secrets") else { return Vec::new() };
    let mut secrets = Vec::new();
    for (key, value) in table.whole() {
        let reference = table.secret_value(key.get_ref(), value);
        match name::parse(key.get_ref()) {
            Ok(name) => secrets.extend(reference.map(|reference| (name, reference))),
            Err(invalid) => table.fault(Fault::new(key.span(), invalid.message).help(invalid.help)),
        }
    }
    secrets
}

/// `http = { allow = ["api.example.com"], networks = ["10.1.0.0/16"], ca = "ca.pem" }`
fn read_http(section: &mut Reader<'_, '_, '_>) -> (HttpAccess, Option<Spotted<PathBuf>>) {
    let Some(mut table) = section.table("http") else { return (HttpAccess::default(), None) };
    table.require("allow", "write allow = [\"api.example.com\"]: what is not listed is refused");
    let allow = values(table.list("allow", false, origin::parse));
    let networks = values(table.list("networks", false, origin::parse_network));
    let ca = table.path("ca");
    table.finish();
    (HttpAccess { allow, networks, ca: ca.as_ref().map(|ca| ca.value.clone()) }, ca)
}

fn values<T>(list: Option<Spotted<Vec<Spotted<T>>>>) -> Vec<T> {
    list.map_or_else(Vec::new, |list| list.value.into_iter().map(|entry| entry.value).collect())
}
