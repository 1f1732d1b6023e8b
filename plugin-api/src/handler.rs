//! What a plugin's author implements, and how making it can fail.

use std::fmt;

use crate::{Cause, Cx, Event, Failure, HandlerSettings, Host, Outcome};

/// A plugin: made once for each configured handler, then called for each attempt at a delivery.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a hookyard handler",
    label = "this does not implement `hookyard_plugin::Handler`",
    note = "write `impl hookyard_plugin::Handler for {Self}`, or `AsyncHandler`; the crate's documentation begins with a whole one"
)]
pub trait Handler: Sized + Send + Sync + 'static {
    /// The handler's `settings` of the configuration.
    type Settings: HandlerSettings;

    /// Makes the handler: opens what it needs. Called once, before any event.
    ///
    /// # Errors
    /// The sentence is the operator's; the handler that ran before runs on.
    fn create(settings: Self::Settings, host: &Host<'_>) -> Result<Self, CreateError>;

    /// Looks at settings without any effect outside: what their types cannot say.
    ///
    /// # Errors
    /// The sentence is the operator's, who is told before anything else of the plugin runs.
    fn check(settings: &Self::Settings) -> Result<(), CreateError> {
        let _ = settings;
        Ok(())
    }

    /// Works on one event. May block, until [`Cx::remaining`] is zero. Called from several threads at once.
    ///
    /// # Errors
    /// A [`Failure`]: again later, or never.
    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure>;
}

/// Why a handler could not be made. Any error turns into one through `?`, with its causes.
pub struct CreateError(String);

impl CreateError {
    /// A sentence for the operator: what is wrong, and what to do about it. No secrets.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CreateError({:?})", self.0)
    }
}

impl<E: Cause> From<E> for CreateError {
    fn from(error: E) -> Self {
        Self(error.sentence())
    }
}
