//! A step that returns what cannot be kept.

use hookyard_plugin::{Cx, Failure, Outcome};

pub struct Response;

pub fn handle(cx: &Cx<'_>) -> Result<Outcome, Failure> {
    let _response = cx.step("charge", |_| Ok(Response))?;
    Ok(Outcome::done())
}

fn main() {}
