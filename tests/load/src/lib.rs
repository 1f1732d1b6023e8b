//! The load generator: plays Stripe at a rate, or as fast as the door answers, and says how long each answer took.
//!
//! ```text
//!  schedule (when) ─► mix (what) ─► event (bytes) ─► signer (header) ─► connection (answer) ─► tally ─► report
//! ```
//! `main.rs` reads the command line; `bin/baseline` holds the programs that hookyard is measured against. Everything runs
//! on one thread, so that on two cores the generator is not what is measured. It keeps nothing: a kill costs the figures.
#![forbid(unsafe_code)]

pub mod event;
pub mod signer;
pub mod mix;
pub mod schedule;
pub mod target;
pub mod connection;
pub mod tally;
pub mod report;
pub mod run;
pub mod failure;

use std::time::Duration;

/// hookyard's own, so that what is compared is never the allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// `60s`, `5m`, `500ms`: as hookyard's own configuration writes durations.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration such as 60s, 5m or 500ms");
    let signed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(signed).map_err(|_| wrong())
}
