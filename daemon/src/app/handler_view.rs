//! A handler and its host in the words of the operator API.

use super::library_record::Library;
use crate::admin::view::{HandlerView, ProcessView};
use crate::host::{Host, HostStatus, ProcessStatus, Times};
use crate::model::ids::HandlerName;
use crate::model::isolation::Isolation;

/// The library of a host.
pub(super) fn library(host: &Host) -> Library {
    let status = host.status();
    let abi = abi(&status);
    Library { sha256: status.sha256, version: status.version, abi }
}

/// The ABI that a library was built against, as it is shown.
fn abi(status: &HostStatus) -> String {
    format!("1.{}", status.abi_minor)
}

/// How a handler is, by its host.
pub(super) fn view(name: &HandlerName, host: &Host) -> HandlerView {
    let (status, figures, usage) = (host.status(), host.figures(), host.usage());
    HandlerView {
        handler: name.to_string(),
        plugin_id: status.plugin.to_string(),
        abi: abi(&status),
        plugin_version: status.version,
        sha256: status.sha256,
        up: status.up,
        why_down: status.why_down.unwrap_or_default(),
        pid: status.pid,
        processes: match status.isolation {
            Isolation::Process => status.processes.iter().map(process).collect(),
            Isolation::Inline => Vec::new(),
        },
        isolation: status.isolation.word().to_owned(),
        in_flight: status.calls_in_flight,
        hanging: status.hanging,
        restarts: status.restarts,
        crashes: status.crashes,
        circuit_open: status.circuit_open,
        breaches: status.breaches,
        resident_bytes: usage.map_or(0, |usage| usage.resident_bytes),
        cpu_seconds: usage.map_or(0.0, |usage| usage.cpu.as_secs_f64()),
        within_seconds: within(&figures.call_times),
        took_seconds: figures.call_times.sum.as_secs_f64(),
        http_within_seconds: within(&figures.http_times),
        http_took_seconds: figures.http_times.sum.as_secs_f64(),
        http: figures.http,
        outcomes: figures.outcomes,
        deaths: figures.deaths,
        // `waiting` is known to the store; `admin` fills it in.
        ..HandlerView::default()
    }
}

fn within(times: &Times) -> Vec<(f64, u64)> {
    times.within.iter().map(|(upper, count)| (upper.as_secs_f64(), *count)).collect()
}

fn process(process: &ProcessStatus) -> ProcessView {
    let usage = process.usage();
    ProcessView {
        pid: process.pid,
        up: process.up,
        why_down: process.why_down.clone().unwrap_or_default(),
        in_flight: process.calls_in_flight,
        circuit_open: process.circuit_open,
        resident_bytes: usage.map_or(0, |usage| usage.resident_bytes),
        cpu_seconds: usage.map_or(0.0, |usage| usage.cpu.as_secs_f64()),
    }
}
