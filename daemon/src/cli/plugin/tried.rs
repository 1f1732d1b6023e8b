//! What the commands share that try a plugin out: what is logged meanwhile, and how outcomes and failures are told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cli::{Common, Failure};
use crate::observe::{self, LogFormat, with_causes};
use crate::workshop::trial::TrialError;

/// The filter that lets through what a plugin prints.
pub(super) const PRINTED: &str = "off,hookyard::host::process=warn";

/// Logs nothing but what this filter says.
pub(super) fn log_only(common: &Common, filter: &str) -> Result<(), Failure> {
    let format = if common.json { LogFormat::Json } else { LogFormat::Text };
    observe::init(format, filter).map_err(|error| Failure::internal(error.to_string()))
}

pub(super) fn failure(error: &TrialError) -> Failure {
    match error {
        TrialError::Host(host) if host.may_pass() => Failure::unavailable(with_causes(error)),
        TrialError::Host(_) => Failure::bad_data(with_causes(error)),
        TrialError::Folder(_) => Failure::storage(with_causes(error)),
    }
}

/// Whether a plugin with this outcome is done with the event.
pub(super) fn is_finished(outcome: &str) -> bool {
    ["done", "ignore"].contains(&outcome)
}

/// How often each outcome came.
pub(super) fn counted(outcomes: &BTreeMap<&'static str, u64>) -> String {
    let counts: Vec<String> = outcomes.iter().map(|(word, count)| format!("{word} {count}")).collect();
    counts.join(", ")
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
