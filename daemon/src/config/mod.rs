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
mod diagnostic;
mod elements;
mod faults;
mod files;
mod hash;
mod json;
mod raw;
mod reader;
mod rule_cost;
mod secrets;
mod snapshot;

use std::path::{Path, PathBuf};

pub use diagnostic::{ConfigError, Diagnostic, Severity};
pub use snapshot::{
    Admin, CONCURRENCY_DEFAULT, CONCURRENCY_MAX, DRAIN_TIMEOUT_DEFAULT, HANDLER_TIMEOUT_DEFAULT, Handler,
    LISTEN_DEFAULT, Plugin, RateLimit, STORE_PATH_DEFAULT, Scheme, Server, Snapshot, Source, StoreSettings,
    TOLERANCE_DEFAULT, Tls,
};

use faults::Faults;

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
    /// The files that it was read from.
    pub files: Vec<PathBuf>,
    /// The files that its secrets were read from.
    pub secret_files: Vec<PathBuf>,
}

/// Reads and checks a configuration.
///
/// # Errors
/// [`ConfigError`] with every fault of every file.
pub fn load(options: LoadOptions<'_>) -> Result<Loaded, ConfigError> {
    let (files, unreadable) = files::read(options.path);
    let mut faults = Faults::new(&files, unreadable);
    let documents = files::parse(&files, &mut faults);
    let raw = raw::read(&documents, &mut faults);
    let hash = hash::of(&documents);
    let snapshot = check::check(raw, hash, options, &mut faults);
    let secret_files = faults.take_secret_files();
    let (faults, warnings) = faults.into_diagnostics();
    if faults.is_empty() {
        let files = files.into_iter().map(|file| file.path).collect();
        Ok(Loaded { snapshot, warnings, files, secret_files })
    } else {
        Err(ConfigError::new(faults, warnings))
    }
}

#[cfg(test)]
mod tests;
