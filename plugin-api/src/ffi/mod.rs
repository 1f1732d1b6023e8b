//! The SDK's side of the boundary: `entry` is called by the host, `host` calls it, `panic` keeps panics inside.
//!
//! All `unsafe` of the SDK is here, in `abi` and in the test kit's own `ffi`. What a handler sees is safe.

#[cfg(any(feature = "tracing", feature = "log"))]
pub(crate) mod current;
mod entry;
mod host;
mod http;
mod panic;

pub use entry::descriptor;
pub(crate) use host::{CallTable, HostTable, StepBegun};
pub(crate) use http::{Answered, Asked, HttpTable};
