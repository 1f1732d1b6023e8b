//! A `handle` that returns nothing. No trait of ours is in play: the compiler itself names the type that is expected.

//~ `Result<Outcome, Failure>`

use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};

struct Greeter;

impl Handler for Greeter {
    type Settings = serde_json::Value;

    fn create(_: serde_json::Value, _: &Host<'_>) -> Result<Self, CreateError> {
        Ok(Self)
    }

    fn handle(&self, _: &Event<'_>, _: &Cx<'_>) -> Result<Outcome, Failure> {
        println!("done");
    }
}

fn main() {}
