//! A step that returns what cannot be kept.

//~ `Response` cannot be the result of a step
//~ return what a retry needs to go on

use hookyard_plugin::{Cx, Failure, Outcome};

pub struct Response;

pub fn handle(cx: &Cx<'_>) -> Result<Outcome, Failure> {
    let _response = cx.step("charge", |_| Ok(Response))?;
    Ok(Outcome::done())
}

fn main() {}
