//! The configuration: from TOML on disk to a checked, immutable snapshot.
//!
//! Called by `cli` (`hookyard check`, and `serve` at its start) and by a reload, always through [`load`]. It reads
//! `hookyard.toml` and the `rules/*.toml` beside it, and the secrets that they refer to; it writes nothing and keeps
//! nothing, so a crash here costs nothing, and a fault leaves whatever snapshot was running as it is.
//!
//! ```text
//!  files ─► raw: what is written, with its place ─► check: names resolved, environment read once ─► Snapshot
//!             └──────────────── every fault, each with file, line, column, the line itself and a help ──► ConfigError
//! ```
//!
//! No fault hides another: a run reports all of them. Unknown keys are faults. A secret never stands in a file, and
//! one that does is masked wherever the file's text is shown.

mod check;
pub mod diff;
mod diagnostic;
mod elements;
mod faults;
mod files;
mod hash;
mod json;
pub mod lock;
mod outline;
mod raw;
mod reader;
pub mod restart;
mod rule_cost;
mod rule_findings;
pub mod schema;
mod secrets;
mod snapshot;
mod testing;

use std::path::{Path, PathBuf};

pub use diff::{Change, How, Part};
pub use files::ConfigFile;
pub use outline::Outline;

pub use diagnostic::{ConfigError, Diagnostic, Severity};
pub use snapshot::{
    Admin, CONCURRENCY_DEFAULT, CONCURRENCY_MAX, DRAIN_TIMEOUT_DEFAULT, HANDLER_TIMEOUT_DEFAULT, Handler,
    LISTEN_DEFAULT, PROCESSES_DEFAULT, PROCESSES_MAX, Plugin, RateLimit, STORE_PATH_DEFAULT, Scheme, Server,
    Snapshot, Source, StoreSettings, TOLERANCE_DEFAULT, Tls,
};
pub use testing::{RuleTest, TestRun, Tested};

use crate::rules::Fault;
use faults::{Faults, FileId};
use files::Document;
use hash::Digest;
use raw::RawConfig;

/// Where the configuration is, and what stands around it.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The main file; its rules, and then those of the `rules` directory beside it, make the rule set.
    pub path: &'a Path,
    /// Plugins need no pin, and an `env:` secret that is not set is left out with a warning.
    pub dev: bool,
    /// The value of an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadOptions")
            .field("path", &self.path)
            .field("dev", &self.dev)
            .finish_non_exhaustive()
    }
}

/// A sound configuration.
#[derive(Debug)]
pub struct Loaded {
    pub snapshot: Snapshot,
    /// What is allowed and probably not meant, in the order of the files.
    pub warnings: Vec<Diagnostic>,
    /// The files that it was read from, with what they said: the main one first.
    pub files: Vec<ConfigFile>,
    /// Its `[[test]]` tables, not yet run, in the order of the files.
    pub tests: Vec<RuleTest>,
    /// The files that its secrets were read from.
    pub secret_files: Vec<PathBuf>,
}

/// Reads and checks a configuration.
///
/// # Errors
/// [`ConfigError`] with every fault of every file.
pub fn load(options: LoadOptions<'_>) -> Result<Loaded, ConfigError> {
    let (files, unreadable) = files::read(options.path);
    load_read(files, unreadable, options)
}

/// As [`load`], and every `[[test]]` passes.
///
/// # Errors
/// [`ConfigError`] with every fault of every file; where there is none, with every test that fails.
pub fn load_tested(options: LoadOptions<'_>) -> Result<Loaded, ConfigError> {
    let loaded = load(options)?;
    let failures: Vec<Diagnostic> =
        loaded.run_tests().tests.into_iter().filter_map(|tested| tested.failure).collect();
    if failures.is_empty() { Ok(loaded) } else { Err(ConfigError::new(failures, loaded.warnings)) }
}

/// The same over what was read before, the main file first: a snapshot that was kept, or a candidate that is not on this
/// disk. Of `options` the path counts for nothing.
///
/// # Errors
/// [`ConfigError`] with every fault of every file.
pub fn load_files(files: Vec<ConfigFile>, options: LoadOptions<'_>) -> Result<Loaded, ConfigError> {
    load_read(files, Vec::new(), options)
}

/// What can be made out of a configuration though it has faults: enough to find the daemon that runs on it. Never to be
/// run.
pub fn glance(options: LoadOptions<'_>) -> Snapshot {
    let (files, unreadable) = files::read(options.path);
    let mut faults = Faults::new(&files, unreadable);
    read(&files, options, &mut faults).0
}

fn load_read(
    files: Vec<ConfigFile>,
    unreadable: Vec<(FileId, Fault)>,
    options: LoadOptions<'_>,
) -> Result<Loaded, ConfigError> {
    let mut faults = Faults::new(&files, unreadable);
    let (snapshot, tests) = read(&files, options, &mut faults);
    let secret_files = faults.take_secret_files();
    let (faults, warnings) = faults.into_diagnostics();
    if faults.is_empty() {
        Ok(Loaded { snapshot, warnings, files, tests, secret_files })
    } else {
        Err(ConfigError::new(faults, warnings))
    }
}

/// The snapshot that the files describe, and its tests. To be used only if `faults` stayed empty.
fn read<'files>(
    files: &'files [ConfigFile],
    options: LoadOptions<'_>,
    faults: &mut Faults<'files>,
) -> (Snapshot, Vec<RuleTest>) {
    let (mut raw, mut digest) = (None::<RawConfig>, Digest::default());
    files::parse(files, faults, |document, faults| {
        digest.add(document);
        match &mut raw {
            Some(raw) => raw.add_rules(document, faults),
            None => raw = Some(RawConfig::read(document, faults)),
        }
    });
    let raw = raw.unwrap_or_else(|| RawConfig::read(&Document::default(), faults));
    let name = digest.finish();
    check::check(raw, name, options, faults)
}

#[cfg(test)]
mod tests;
