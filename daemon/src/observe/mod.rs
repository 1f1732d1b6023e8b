//! Logs: one subscriber for the process, to stderr, set up once by `hookyard serve`, without e-mail addresses; how an error is told in one line; the
//! names of the metrics.

mod masked;
pub mod names;

use std::io::IsTerminal;

use masked::Masked;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error("`{filter}` is no log filter: write such as `info` or `info,hookyard::ingest=debug`")]
    Filter { filter: String, source: ParseError },
    #[error("the log is set up already")]
    Twice,
}

/// An error and its causes as one line, each after a colon.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Sends what passes `filter` to stderr.
pub fn init(format: LogFormat, filter: &str) -> Result<(), ObserveError> {
    let parsed = EnvFilter::try_new(filter)
        .map_err(|source| ObserveError::Filter { filter: filter.to_owned(), source })?;
    let log = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(Masked(std::io::stderr));
    let set = match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    set.map_err(|_| ObserveError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_told() {
        let error = init(LogFormat::Json, "hookyard=loud").unwrap_err();
        assert!(error.to_string().starts_with("`hookyard=loud` is no log filter"), "{error}");
    }
}
