//! Where a handler's plugin runs, in a child process or inside the daemon: the only code of hookyard that loads a library.
//!
//! The daemon starts its own binary as `hookyard plugin-host` with one end of a socket pair as stdin, and speaks
//! [`protocol`] over it. The child gets one library ([`handover`]), loads it (`library`), makes one instance of the plugin, and then answers
//! calls ([`run()`]). It keeps nothing: whatever the plugin wants remembered goes up to the daemon and is on disk before
//! the answer. A crash of the plugin is the end of this process and costs the daemon the attempts that it held.
//!
//! Threads, no async runtime: the reader (never runs plugin code, so it can always end the process), the workers (one
//! call of `handle` each), and the main thread (load, `create`, `destroy`).
//!
//! Where the operator has a plugin share the daemon's process (`isolation = "inline"`), [`Inline`] is all this but the
//! process: the same loader, table and conversation, on threads of its own.
#![deny(unsafe_code)]

mod child;
#[cfg(target_os = "linux")]
mod confine;
pub mod handover;
mod inline;
#[expect(unsafe_code, reason = "loading a library and calling its functions")]
mod library;
pub mod protocol;
mod rlimits;
mod run;

pub use child::{Busy, Listener};
pub use inline::Inline;
pub use run::run;
