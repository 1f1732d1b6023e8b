//! The door as a library, over real sockets: each answer of the design, each slow or broken peer, and nothing stored
//! but what was verified. The store is the one in memory, wrapped so that a test can hold, fail or refuse an append; sled
//! stands behind the same door in the tests of the whole daemon.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod answers;
mod house;
mod http2;
mod overload;
mod slow;
mod tls;
