//! The one table of exit codes (sysexits), and how a failure is told.

use std::process::ExitCode;

/// Shown below `--help`.
pub(super) const HELP: &str = "\
Exit codes: 0 done, 64 wrong usage, 65 bad data or refused by the door, 66 a file is missing, 69 the daemon is not \
reachable, 70 internal fault, 74 the store failed, 77 wrong operator token, 78 the configuration has faults, one of its \
tests fails, a reload is refused, or `doctor` found some.";

/// A command that did not do what it was asked for.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    /// Whole sentences, already with their causes.
    text: String,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    BadData = 65,
    NoInput = 66,
    Unavailable = 69,
    Internal = 70,
    Storage = 74,
    Denied = 77,
    Config = 78,
}

impl Failure {
    pub(super) fn bad_data(text: impl Into<String>) -> Self {
        Self { kind: Kind::BadData, text: text.into() }
    }

    pub(super) fn no_input(text: impl Into<String>) -> Self {
        Self { kind: Kind::NoInput, text: text.into() }
    }

    pub(super) fn unavailable(text: impl Into<String>) -> Self {
        Self { kind: Kind::Unavailable, text: text.into() }
    }

    pub(super) fn internal(text: impl Into<String>) -> Self {
        Self { kind: Kind::Internal, text: text.into() }
    }

    pub(super) fn storage(text: impl Into<String>) -> Self {
        Self { kind: Kind::Storage, text: text.into() }
    }

    pub(super) fn denied(text: impl Into<String>) -> Self {
        Self { kind: Kind::Denied, text: text.into() }
    }

    pub(super) fn config(text: impl Into<String>) -> Self {
        Self { kind: Kind::Config, text: text.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text.trim_end())
    }
}

/// Says what failed on standard error, and gives its code.
pub(super) fn report(failure: &Failure) -> ExitCode {
    eprintln!("hookyard: {failure}");
    ExitCode::from(failure.kind as u8)
}

/// Help and version are no faults; anything else that clap says is wrong usage.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // A closed standard output is nothing that could be told anywhere.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS }
}
