//! One try at a delivery: an immutable record of what the handler said, or of what happened to it.

use std::time::Duration;

use super::clock::UnixMillis;

/// One try, finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    pub started: UnixMillis,
    pub duration: Duration,
    pub outcome: Outcome,
    /// The last lines that the plugin logged, oldest first, cut to [`super::limits::ATTEMPT_LOG_LINES_MAX`].
    pub log: Vec<String>,
}

/// What a handler said, or what happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Finished: never deliver again.
    Done(Detail),
    /// Not for this handler: counted, not an error.
    Ignore(Detail),
    /// Try again, after the handler's own wish or by the schedule.
    Retry { after: Option<Duration>, detail: Detail },
    /// A permanent failure: dead letter.
    Reject(Detail),
    /// The handler did not answer in time and was stopped.
    TimedOut { limit: Duration },
    /// The host died (signal, exit, broken contract) while it held the delivery.
    Crashed { what: String },
    /// The daemon itself stopped while the delivery was leased: no fault of the handler, and no reason to wait.
    Interrupted,
}

/// What the plugin explained of its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detail {
    /// A short word for machines, such as `email_missing`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// JSON kept with the attempt: what was done (user id, entitlement ids, mail id).
    pub result: Option<String>,
}

impl Outcome {
    /// The outcome in one word, as shown and stored.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Ignore(_) => "ignore",
            Self::Retry { .. } => "retry",
            Self::Reject(_) => "reject",
            Self::TimedOut { .. } => "timed out",
            Self::Crashed { .. } => "crashed",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether the plugin said something, whatever it was.
    pub fn is_answer(&self) -> bool {
        self.detail().is_some()
    }

    /// What a person is told beside [`Self::word`]; empty where the word says it all.
    pub fn message(&self) -> String {
        match self {
            Self::Done(detail) | Self::Ignore(detail) | Self::Reject(detail) | Self::Retry { detail, .. } => {
                detail.message.clone()
            }
            Self::TimedOut { limit } => format!("no answer within {limit:?}; the host was stopped"),
            Self::Crashed { what } => what.clone(),
            Self::Interrupted => "the daemon stopped before the handler answered".to_owned(),
        }
    }

    /// The plugin's own explanation, where it gave one.
    pub fn detail(&self) -> Option<&Detail> {
        match self {
            Self::Done(detail) | Self::Ignore(detail) | Self::Reject(detail) | Self::Retry { detail, .. } => {
                Some(detail)
            }
            Self::TimedOut { .. } | Self::Crashed { .. } | Self::Interrupted => None,
        }
    }
}
