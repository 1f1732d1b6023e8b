//! Why a delivery did not end in "done", in one type: every part of this crate returns it, the plugins turn it into the
//! outcome that hookyard stores. Codes are for machines and never change; messages are for the operator who has to act,
//! and hold no personal data.

use std::error::Error;
use std::fmt;

use hookyard_plugin::{Failure, Outcome};

/// Longer words are cut in messages.
const WORD_CHARS_MAX: usize = 60;

/// What stands in the way, and therefore what hookyard does next.
///
/// Deliberately no `std::error::Error`: the SDK turns any such error into a retry, and a rejection must stay one. With
/// `?` a fault becomes the [`Failure`] that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing to do here: counted, never retried.
    Ignore { code: &'static str, message: String },
    /// Trying again cannot help: a dead letter before the operator.
    Reject { code: &'static str, message: String },
    /// Something that may pass: try again by the schedule.
    Retry { code: &'static str, message: String },
}

impl Fault {
    /// Nothing to do here.
    pub fn ignore(code: &'static str, message: impl Into<String>) -> Self {
        Self::Ignore { code, message: message.into() }
    }

    /// Trying again cannot help.
    pub fn reject(code: &'static str, message: impl Into<String>) -> Self {
        Self::Reject { code, message: message.into() }
    }

    /// Try again later.
    pub fn retry(code: &'static str, message: impl Into<String>) -> Self {
        Self::Retry { code, message: message.into() }
    }

    /// The word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ignore { code, .. } | Self::Reject { code, .. } | Self::Retry { code, .. } => code,
        }
    }

    /// What `handle` returns for it.
    pub fn into_outcome(self) -> Result<Outcome, Failure> {
        match self {
            Self::Ignore { code, message } => Ok(Outcome::ignore(code, message)),
            other => Err(other.into()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignore { message, .. } | Self::Reject { message, .. } | Self::Retry { message, .. } => {
                f.write_str(message)
            }
        }
    }
}

impl From<Fault> for Failure {
    /// For `?` behind the guards, where ignoring is no answer any more: an ignore would become a reject.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Ignore { code, message } | Fault::Reject { code, message } => Self::reject(code, message),
            Fault::Retry { code, message } => Self::retry(code, message),
        }
    }
}

/// An error and everything beneath it in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

/// A foreign word (a tier, a status) as a message may show it: short, and only what such words are made of.
pub fn word(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '?' };
    text.chars().take(WORD_CHARS_MAX).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_the_outcome_that_it_names() {
        assert!(Fault::ignore("setup_mode", "x").into_outcome().is_ok());
        let rejected = Fault::reject("tier_unknown", "x").into_outcome().unwrap_err();
        assert_eq!((rejected.code(), rejected.is_reject()), ("tier_unknown", true));
        let retried = Failure::from(Fault::retry("database", "x"));
        assert_eq!((retried.code(), retried.is_reject()), ("database", false));
    }

    #[test]
    fn a_foreign_word_is_short_and_tame() {
        assert_eq!(word("tier_2"), "tier_2");
        assert_eq!(word("a@b c\n"), "a?b?c?");
        assert_eq!(word(&"x".repeat(500)).len(), WORD_CHARS_MAX);
    }
}
