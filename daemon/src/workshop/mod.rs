//! What a plugin's author works with: a project to begin from ([`project`]), one plugin in a real host without a daemon, a
//! store or a configuration ([`trial`]), what it costs ([`bench`](mod@bench)), what it cannot bear ([`fuzz`](mod@fuzz)), the
//! conformance run over it ([`check`]), and the deliveries of the SDK's test kit ([`testkit`]), whose script answers over HTTP
//! ([`kit`]). `hookyard plugin` asks. Nothing here is kept.

pub mod bench;
pub mod check;
pub mod fuzz;
pub mod kit;
mod memory;
pub mod project;
mod rig;
pub mod testkit;
pub mod trial;
mod unkind;

pub use memory::{Memory, StepSeen};
pub use rig::Subject;
