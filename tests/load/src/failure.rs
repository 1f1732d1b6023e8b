//! Why a run cannot be made, told for people, with an exit code of sysexits as hookyard's own commands have them.

use std::process::ExitCode;

/// Shown below `--help`.
pub const EXIT_CODES: &str = "\
Exit codes: 0 the run was made, 64 wrong usage, 69 nobody answers at the target, 70 internal fault, 74 the disk or the \
store under measurement failed, 77 the source's secret is not known here, 78 the configuration has faults.";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
    #[error("{0}")]
    Storage(String),
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Config(String),
}

impl Failure {
    /// Says it on standard error and gives its code.
    pub fn report(&self, program: &str) -> ExitCode {
        eprintln!("{program}: {self}");
        ExitCode::from(match self {
            Self::Usage(_) => 64,
            Self::Unavailable(_) => 69,
            Self::Internal(_) => 70,
            Self::Storage(_) => 74,
            Self::Denied(_) => 77,
            Self::Config(_) => 78,
        })
    }
}

/// Help and version are no faults; anything else that clap says is wrong usage.
pub fn usage(error: &clap::Error) -> ExitCode {
    // A closed standard output is nothing that could be told anywhere.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS }
}
