//! What a handler says of an event: an [`Outcome`] when it is finished with it, a [`Failure`] when it is not.

use std::time::Duration;

use crate::Cause;

/// The handler is finished with the event.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub(crate) ignore: bool,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) result: Option<serde_json::Value>,
}

/// The handler is not finished: try again, or never.
///
/// Any error turns into a retry through `?`: code `error`, and the error with its causes as the message. Such a message
/// is stored and shown to operators, so an error's text must hold no secret and no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub(crate) reject: bool,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) after: Option<Duration>,
}

impl Outcome {
    /// Finished: never deliver it again.
    pub fn done() -> Self {
        Self { ignore: false, code: String::new(), message: String::new(), result: None }
    }

    /// Not for this handler: counted and kept, not an error. `code` is a short word for machines, `message` a sentence.
    pub fn ignore(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { ignore: true, code: code.into(), message: message.into(), result: None }
    }

    /// Adds a sentence for people, without personal data. hookyard keeps 2 KiB of it.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Adds what was done (ids of what was made), to be kept with the attempt. Above 2 KiB it is left out.
    #[must_use]
    pub fn with_result(mut self, result: serde_json::Value) -> Self {
        self.result = Some(result);
        self
    }
}

impl Failure {
    /// A permanent failure: no retry will help; a person has to look. `code` is a short word for machines (such as
    /// `email_missing`), `message` a sentence for people, without personal data.
    pub fn reject(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reject: true, code: code.into(), message: message.into(), after: None }
    }

    /// It did not work now: try again by the handler's retry schedule, or [`Self::after`] a time.
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reject: false, code: code.into(), message: message.into(), after: None }
    }

    /// Tries again after this time (whole milliseconds, at least one) instead of by the schedule. Means nothing for a
    /// rejection.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
    }

    /// The short word for machines.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether it is permanent.
    pub fn is_reject(&self) -> bool {
        self.reject
    }
}

impl<E: Cause> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry("error", error.sentence())
    }
}
