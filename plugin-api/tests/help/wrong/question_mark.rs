//! `?` on what is no error.

//~ this is no `std::error::Error`: say what it means, as in `.map_err(|why| Failure::retry("code", why))?`

use hookyard_plugin::{Cx, Failure, Outcome};

fn charge() -> Result<(), String> {
    Err("no money".to_owned())
}

pub fn handle(_: &Cx<'_>) -> Result<Outcome, Failure> {
    charge()?;
    Ok(Outcome::done())
}

fn main() {}
