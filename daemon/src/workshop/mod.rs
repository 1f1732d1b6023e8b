//! What a plugin's author works with: a project to begin from ([`project`]), and one plugin in a real host without a
//! daemon, a store or a configuration ([`trial`]). `hookyard plugin` asks. Nothing here is kept.

mod memory;
pub mod project;
pub mod trial;

pub use memory::{Memory, StepSeen};
