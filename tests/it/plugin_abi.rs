//! Plugins, good and bad, in the real host: each is loaded into a real child process, and what it costs is looked at.
//! Libraries in C are compiled here, by the header that authors use; the misbehaving one is built beside these tests.

mod asynchronous;
mod authors;
pub(crate) mod bench;
pub(crate) mod confine;
mod notes;
mod faults;
mod golden;
mod inline;
mod http;
mod lifecycle;
mod loading;
mod processes;
mod rlimits;
mod steps;
mod testkit;
