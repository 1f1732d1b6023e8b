//! What `check`, `run`, `bench` and `fuzz` are asked about: a library, its settings and secrets, and an event.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::Failure;
use crate::model::event::Event;
use crate::model::http_access::{HttpAccess, Origin};
use crate::workshop::{Subject, trial};

/// The event where none is given: a Checkout Session that is paid.
const EVENT: &[u8] = include_bytes!("../../workshop/templates/event.json");

#[derive(Debug, Args)]
pub(super) struct SubjectArgs {
    /// The library
    library: PathBuf,
    /// The file with the event's body (default: a paid Checkout Session)
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// The handler's settings: a file (.toml or .json), or TOML keys such as 'greeting = "Hello"'
    #[arg(long, default_value = "", value_name = "SETTINGS")]
    settings: String,
    /// A secret that the plugin may ask for
    #[arg(long = "secret", value_name = "NAME=VALUE", value_parser = secret)]
    secrets: Vec<(String, String)>,
    /// A host that the plugin may ask over HTTP, written as in a handler's `allow`; without one it has no network that way
    #[arg(long, value_name = "HOST", value_parser = host)]
    allow: Vec<Origin>,
}

impl SubjectArgs {
    /// The plugin and the event; the event's type is the body's own unless one is given.
    pub(super) fn read(self, event_type: Option<&str>) -> Result<(Subject, Event), Failure> {
        let event = event_of(self.event.as_deref(), event_type)?;
        let secrets = self.secrets.into_iter().map(|(name, value)| (name, value.into())).collect();
        let settings = trial::settings_of(&self.settings).map_err(Failure::bad_data)?;
        let http = HttpAccess { allow: self.allow, ..HttpAccess::default() };
        Ok((Subject { library: self.library, settings, secrets, http: http.into() }, event))
    }
}

fn event_of(file: Option<&Path>, event_type: Option<&str>) -> Result<Event, Failure> {
    let body = match file {
        None => EVENT.to_vec(),
        Some(file) => std::fs::read(file)
            .map_err(|error| Failure::no_input(format!("{} cannot be read: {error}", file.display())))?,
    };
    Ok(trial::event_of(body, event_type))
}

fn secret(words: &str) -> Result<(String, String), String> {
    let (name, value) = words.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn host(words: &str) -> Result<Origin, String> {
    words.parse::<Origin>().map_err(|error| format!("{error}; {}", error.help()))
}
