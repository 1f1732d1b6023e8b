//! A plugin that is done at once: what is measured with it is hookyard and not a handler. `tests/load` runs it.
//!
//! It tells when it was called, so that the way from the request to the plugin can be measured; or, told to wait, it
//! puts every event off for a long time, so that a store holds as many due rows as events.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
use serde::Deserialize;

/// Longer than any measurement.
const LATER: Duration = Duration::from_secs(20 * 24 * 60 * 60);

/// What becomes of each event.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Puts it off instead of being done.
    #[serde(default)]
    later: bool,
}

/// The handler.
#[derive(Debug)]
pub struct Done {
    later: bool,
}

impl Handler for Done {
    type Settings = Settings;

    fn create(settings: Settings, _host: &Host<'_>) -> Result<Self, CreateError> {
        Ok(Self { later: settings.later })
    }

    fn handle(&self, _event: &Event<'_>, _cx: &Cx<'_>) -> Result<Outcome, Failure> {
        let message = format!("called at unix_us {}", unix_micros());
        if self.later {
            return Err(Failure::retry("later", message).after(LATER));
        }
        Ok(Outcome::done().with_message(message))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a plugin has no clock of hookyard's, and tells only what it read"
)]
fn unix_micros() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

hookyard_plugin::export!(Done, id = "com.hookyard.test.done");
