//! The configuration, as `hookyard check` sees it, and the secrets that it refers to.
//!
//! A variable that is not set in this shell may well be set for the daemon. So a configuration whose only faults are such
//! variables is still read, and everything else is looked at.

use super::{Check, Daemon, Request};
use crate::config::{self, ConfigError, Diagnostic, LoadOptions, Loaded};

/// Stands for a variable that is not set in this shell.
const NOT_SET: &str = "not set in this shell";

/// The configuration, where anything can be read of it.
pub(super) fn check(request: &Request<'_>) -> (Option<Loaded>, Vec<Check>) {
    let lenient = |name: &str| Some((request.env)(name).unwrap_or_else(|| NOT_SET.to_owned()));
    let load = |dev, env| config::load(LoadOptions { path: request.config, dev, env });
    let strict = load(request.dev, request.env);
    match load(request.dev, &lenient) {
        Ok(loaded) => {
            let mut checks: Vec<Check> = loaded.warnings.iter().map(warning).collect();
            // The daemon would not start on rules whose own tests fail.
            let tested = loaded.run_tests().tests;
            checks.extend(tested.iter().filter_map(|tested| tested.failure.as_ref()).map(fault));
            if checks.is_empty() {
                let (file, hash) = (request.config.display(), &loaded.snapshot.hash);
                checks.push(Check::ok("config", format!("{file} is good (configuration {hash})")));
            }
            checks.extend(secrets(request, strict));
            (Some(loaded), checks)
        }
        Err(error) => {
            // The strict faults hold these and the variables that are not set.
            let all = strict.err().unwrap_or(error);
            // What only lacks pins still says where everything is.
            (load(true, &lenient).ok(), all.faults.iter().map(fault).collect())
        }
    }
}

/// What is wrong only because of variables that are not set.
fn secrets(request: &Request<'_>, strict: Result<Loaded, ConfigError>) -> Vec<Check> {
    let error = match strict {
        Ok(_) => return vec![Check::ok("secrets", "each can be read")],
        Err(error) => error,
    };
    if request.dev {
        return vec![Check::ok("secrets", "each can be read, or --dev makes one up")];
    }
    let unset = |diagnostic: &Diagnostic| match request.daemon {
        Daemon::Answers { .. } => Check::warn(
            "secrets",
            format!(
                "{}: {} in this shell; the running daemon has it",
                place(diagnostic),
                diagnostic.message()
            ),
            "see that the daemon's next start has it too",
        ),
        Daemon::Silent(_) => fault_of("secrets", diagnostic),
    };
    error.faults.iter().map(unset).collect()
}

fn fault(diagnostic: &Diagnostic) -> Check {
    fault_of("config", diagnostic)
}

fn fault_of(check: &'static str, diagnostic: &Diagnostic) -> Check {
    Check::fault(check, format!("{}: {}", place(diagnostic), diagnostic.message()), help(diagnostic))
}

fn warning(diagnostic: &Diagnostic) -> Check {
    Check::warn("config", format!("{}: {}", place(diagnostic), diagnostic.message()), help(diagnostic))
}

fn help(diagnostic: &Diagnostic) -> &str {
    diagnostic.help().unwrap_or("`hookyard check` shows the line")
}

fn place(diagnostic: &Diagnostic) -> String {
    match diagnostic.line() {
        Some(line) => format!("{}:{line}", diagnostic.file().display()),
        None => diagnostic.file().display().to_string(),
    }
}
