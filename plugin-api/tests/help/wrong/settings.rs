//! Settings that cannot be read.

//~ `Settings` cannot be the settings of a handler
//~ derive it: `#[derive(serde::Deserialize)]`

use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};

struct Settings;

struct Greeter;

impl Handler for Greeter {
    type Settings = Settings;

    fn create(_: Settings, _: &Host<'_>) -> Result<Self, CreateError> {
        Ok(Self)
    }

    fn handle(&self, _: &Event<'_>, _: &Cx<'_>) -> Result<Outcome, Failure> {
        Ok(Outcome::done())
    }
}

fn main() {}
