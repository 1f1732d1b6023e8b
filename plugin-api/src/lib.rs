//! Write a hookyard plugin in Rust.
//!
//! Implement [`Handler`], name it in [`export!`], build a `cdylib`. hookyard runs it in a child process (or inside
//! the daemon, where the operator says so), calls [`Handler::create`] once with the settings of its configuration, and
//! [`Handler::handle`] for each attempt at a delivery, from several threads at once.
//!
//! ```
//! use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     greeting: String,
//! }
//!
//! struct Greeter(Settings);
//!
//! #[derive(serde::Deserialize)]
//! struct Body {
//!     name: Option<String>,
//! }
//!
//! impl Handler for Greeter {
//!     type Settings = Settings;
//!
//!     fn create(settings: Settings, _host: &Host<'_>) -> Result<Self, CreateError> {
//!         Ok(Self(settings))
//!     }
//!
//!     fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
//!         let body: Body = event.json()?;
//!         let Some(name) = body.name else {
//!             return Err(Failure::reject("name_missing", "the event names nobody"));
//!         };
//!         // Done once, whatever crashes in between and however often the event is delivered.
//!         let letters: usize = cx.step("greet", |_step| Ok(self.0.greeting.len() + name.len()))?;
//!         Ok(Outcome::done().with_result(serde_json::json!({ "letters": letters })))
//!     }
//! }
//!
//! hookyard_plugin::export!(Greeter, id = "com.example.greeter");
//!
//! // The test kit runs the real descriptor in this process, with steps and key-value pairs in memory.
//! use hookyard_plugin::testkit::{Bench, Said, TestEvent};
//! let bench = Bench::new::<Greeter>(&serde_json::json!({ "greeting": "hello" }));
//! let delivered = bench.deliver(&TestEvent::new("greeting.asked", br#"{"name":"you"}"#));
//! assert_eq!(delivered.outcome, Said::Done);
//! assert_eq!(delivered.result.unwrap()["letters"], 8);
//! ```
//!
//! A handler that is written with `async` implements [`AsyncHandler`] instead.
//!
//! Features: `tracing` and `log` hand what libraries log through those crates to hookyard, with the event and the attempt;
//! `stripe` has typed views of Stripe's events; `schema` (default) lets a test keep the settings' JSON Schema true.
//!
//! What the outcomes mean: [`Outcome::done`] ends the delivery; [`Outcome::ignore`] ends it as "not for me";
//! [`Failure::retry`] (and any error through `?`) tries again later; [`Failure::reject`] is a permanent failure that a
//! person will look at. A panic is caught and counts as a retry.
#![deny(missing_docs)]

#[allow(missing_docs, reason = "the fields are documented where the contract is: include/hookyard_plugin.h")]
pub mod abi;
mod asynchronous;
mod bounds;
mod cut;
mod cx;
mod event;
mod export;
#[cfg(any(feature = "tracing", feature = "log"))]
mod forward;
#[doc(hidden)]
pub mod ffi;
mod handler;
pub mod http;
#[doc(hidden)]
pub mod note;
mod outcome;
#[cfg(feature = "stripe")]
pub mod stripe;
pub mod testkit;

pub use asynchronous::AsyncHandler;
pub use bounds::{Cause, HandlerSettings, StepResult};
pub use cx::{Cx, Expect, Host, KvPut, Level, Step};
pub use event::Event;
pub use handler::{CreateError, Handler};
pub use outcome::{Failure, Outcome};

/// The README's plugin must compile as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeCompiles;
