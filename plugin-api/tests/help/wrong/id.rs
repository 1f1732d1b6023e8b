//! An id that is no reverse domain name.

//~ a plugin's id is a reverse domain name in lower case, such as com.example.sumo

use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};

struct Greeter;

impl Handler for Greeter {
    type Settings = serde_json::Value;

    fn create(_: serde_json::Value, _: &Host<'_>) -> Result<Self, CreateError> {
        Ok(Self)
    }

    fn handle(&self, _: &Event<'_>, _: &Cx<'_>) -> Result<Outcome, Failure> {
        Ok(Outcome::done())
    }
}

hookyard_plugin::export!(Greeter, id = "Greeter");

fn main() {}
