//! A hookyard plugin: writes a letter for each paid Checkout Session, once.
//!
//! Begin your own in `handle`. `README.md` says how to build, test and run it.

use std::fs;
use std::path::PathBuf;

use hookyard_plugin::stripe::{CheckoutSession, StripeEvent};
use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// `settings` of the handler.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What a letter begins with.
    greeting: String,
    /// The folder that letters are written to. It must be there.
    letters: PathBuf,
}

/// The plugin.
#[derive(Debug)]
pub struct {{type}} {
    settings: Settings,
}

impl Handler for {{type}} {
    type Settings = Settings;

    // Called once. Opens what the plugin needs; an error keeps the plugin that ran before.
    fn create(settings: Settings, _host: &Host<'_>) -> Result<Self, CreateError> {
        if !settings.letters.is_dir() {
            let folder = settings.letters.display();
            return Err(CreateError::new(format!("{folder} is no folder: make it, or name another in `letters`")));
        }
        Ok(Self { settings })
    }

    // Called for each attempt at a delivery, on several threads at once.
    //   Ok(Outcome::done())       finished: never delivered again
    //   Ok(Outcome::ignore(…))    not for this plugin: counted and kept
    //   Err(Failure::reject(…))   never: a dead letter, for a person to look at
    //   Err(…), or ? on an error  not now: tried again by the handler's schedule
    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        let session = StripeEvent::<CheckoutSession>::read(event.body())?.into_object();
        let Some(name) = session.name() else {
            return Err(Failure::reject("name_missing", "the session does not say who bought"));
        };
        // A step is done once: a retry gets what it returned before. Where a crash left it half done it is done again,
        // so make that harmless: the step's key is always the same, and the same key is the same file.
        let letter: String = cx.step("letter", |step| {
            let file = format!("{}.txt", step.key());
            fs::write(self.settings.letters.join(&file), format!("{} {name},\n", self.settings.greeting))?;
            Ok(file)
        })?;
        cx.info("the letter is written");
        Ok(Outcome::done().with_result(json!({ "session": session.id, "letter": letter })))
    }
}

hookyard_plugin::export!({{type}}, id = "{{id}}", schema = "settings.schema.json");
