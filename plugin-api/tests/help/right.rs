//! What is right: the mistakes beside it say nothing unless this compiles.

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

hookyard_plugin::export!(Greeter, id = "com.example.greeter");

fn main() {}
