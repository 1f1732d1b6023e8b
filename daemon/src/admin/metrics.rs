//! `/metrics` for Prometheus: what the daemon knows of itself at the moment that it is asked.
//!
//! A recorder is filled for each answer and thrown away, so that no series of a rule or a handler outlives it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use metrics::{Label, counter, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::Admin;
use super::answer::Failure;
use super::rules::MatchedView;
use super::view::{HandlerView, with_waiting};
use crate::observe::names;
use crate::store::{Counts, Health};

/// The text format that every Prometheus reads.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> Result<Response, Failure> {
    let counts = admin.store.counts().await?;
    let handlers = with_waiting(admin.control.handlers(), admin.store.waiting_by_handler().await?);
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        of_daemon(&admin);
        of_counts(&counts);
        handlers.iter().for_each(of_handler);
        admin.control.rules().iter().for_each(of_rule);
    });
    Ok(([(CONTENT_TYPE, TEXT)], recorder.handle().render()).into_response())
}

fn describe() {
    for (name, help) in names::GAUGES {
        metrics::describe_gauge!(*name, *help);
    }
    for (name, help) in names::COUNTERS {
        metrics::describe_counter!(*name, *help);
    }
}

fn of_daemon(admin: &Admin) {
    let version = admin.facts.version;
    gauge!(names::INFO, "version" => version, "snapshot" => admin.control.snapshot()).set(1.0);
    gauge!(names::STORE_READY).set(truth(admin.store.health() == Health::Ready));
    gauge!(names::STORE_LAG_BYTES).set(float(admin.store.lag_bytes()));
    gauge!(names::RELOAD_REFUSED).set(truth(admin.control.reload_refused().is_some()));
    gauge!(names::ROLLED_BACK).set(truth(admin.control.is_rolled_back()));
}

fn of_counts(counts: &Counts) {
    let events = [
        ("waiting", counts.to_route),
        ("unrouted", counts.unrouted),
        ("dropped", counts.dropped),
        ("stored", counts.events),
    ];
    for (routing, count) in events {
        gauge!(names::EVENTS, "routing" => routing).set(float(count));
    }
    let deliveries = [
        ("pending", counts.pending),
        ("leased", counts.leased),
        ("delivered", counts.delivered),
        ("ignored", counts.ignored),
        ("dead", counts.dead),
        ("cancelled", counts.cancelled),
    ];
    for (state, count) in deliveries {
        gauge!(names::DELIVERIES, "state" => state).set(float(count));
    }
}

fn of_handler(handler: &HandlerView) {
    let name = || handler.handler.clone();
    gauge!(names::HANDLER_UP, "handler" => name()).set(truth(handler.up));
    gauge!(names::HANDLER_WAITING, "handler" => name()).set(float(handler.waiting));
    counter!(names::HANDLER_CRASHES, "handler" => name()).absolute(handler.crashes);
    if !handler.plugin.is_empty() {
        of_host(handler);
    }
}

/// What a handler has that is in the configuration; its canary's host too, marked as that.
fn of_host(handler: &HandlerView) {
    of_side(handler, None);
    if let Some(canary) = &handler.canary {
        of_side(&canary.host, Some("canary"));
    }
}

fn of_side(handler: &HandlerView, side: Option<&'static str>) {
    let mut common = vec![Label::new("handler", handler.handler.clone())];
    common.extend(side.map(|side| Label::new("side", side)));
    let with = |more: &[(&'static str, &str)]| -> Vec<Label> {
        let more = more.iter().map(|(name, value)| Label::new(*name, (*value).to_owned()));
        common.iter().cloned().chain(more).collect()
    };
    let up = handler.processes.iter().filter(|process| process.up).count();
    for (state, count) in [("up", up), ("down", handler.processes.len() - up)] {
        gauge!(names::HANDLER_PROCESSES, with(&[("state", state)])).set(float(count as u64));
    }
    gauge!(names::HANDLER_CIRCUIT_OPEN, with(&[])).set(truth(handler.circuit_open));
    gauge!(names::HANDLER_IN_FLIGHT, with(&[])).set(float(handler.in_flight as u64));
    gauge!(names::HANDLER_HANGING, with(&[])).set(float(handler.hanging as u64));
    gauge!(names::HANDLER_RESIDENT_BYTES, with(&[])).set(float(handler.resident_bytes));
    gauge!(names::HANDLER_CPU, with(&[])).set(handler.cpu_seconds);
    gauge!(names::HANDLER_CALL_SUM, with(&[])).set(handler.took_seconds);
    counter!(names::HANDLER_RESTARTS, with(&[])).absolute(handler.restarts);
    counter!(names::HANDLER_BREACHES, with(&[])).absolute(handler.breaches);
    for (outcome, count) in &handler.outcomes {
        counter!(names::HANDLER_CALLS, with(&[("outcome", outcome)])).absolute(*count);
    }
    for (of, count) in &handler.deaths {
        counter!(names::HANDLER_DEATHS, with(&[("of", of)])).absolute(*count);
    }
    let calls = handler.outcomes.values().sum();
    for (upper, count) in &handler.within_seconds {
        counter!(names::HANDLER_CALL_BUCKET, with(&[("le", &upper.to_string())])).absolute(*count);
    }
    counter!(names::HANDLER_CALL_BUCKET, with(&[("le", "+Inf")])).absolute(calls);
    counter!(names::HANDLER_CALL_COUNT, with(&[])).absolute(calls);
    of_http(handler, with);
    let info = [
        ("id", &*handler.plugin_id),
        ("version", &handler.plugin_version),
        ("sha256", &handler.sha256),
        ("abi", &handler.abi),
        ("isolation", &handler.isolation),
    ];
    gauge!(names::PLUGIN_INFO, with(&info)).set(1.0);
}

/// What a handler's plugin asked over HTTP; nothing of one that asked nothing.
fn of_http(handler: &HandlerView, with: impl Fn(&[(&'static str, &str)]) -> Vec<Label>) {
    let requests: u64 = handler.http.values().sum();
    if requests == 0 {
        return;
    }
    for (code, count) in &handler.http {
        counter!(names::HANDLER_HTTP, with(&[("code", code)])).absolute(*count);
    }
    for (upper, count) in &handler.http_within_seconds {
        counter!(names::HANDLER_HTTP_BUCKET, with(&[("le", &upper.to_string())])).absolute(*count);
    }
    counter!(names::HANDLER_HTTP_BUCKET, with(&[("le", "+Inf")])).absolute(requests);
    counter!(names::HANDLER_HTTP_COUNT, with(&[])).absolute(requests);
    gauge!(names::HANDLER_HTTP_SUM, with(&[])).set(handler.http_took_seconds);
}

fn of_rule(rule: &MatchedView) {
    counter!(names::RULE_MATCHED, "rule" => rule.rule.clone()).absolute(rule.matched);
    let last = rule.last_matched.as_ref().and_then(|last| last.parse::<jiff::Timestamp>().ok());
    if let Some(last) = last {
        let seconds = last.as_millisecond() as f64 / 1000.0;
        gauge!(names::RULE_LAST_MATCHED, "rule" => rule.rule.clone()).set(seconds);
    }
}

fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

/// Counts are below 2^53, where a double is exact.
fn float(count: u64) -> f64 {
    count as f64
}
