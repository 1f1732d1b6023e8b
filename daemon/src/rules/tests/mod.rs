//! The language held to its page: tables of each rule of the semantics, each refusal, and properties over random
//! conditions and events.

mod properties;
mod refusals;
mod semantics;
