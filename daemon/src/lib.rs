//! hookyard: a webhook router that answers 2xx only when the event is on disk.
//!
//! ```text
//!  Stripe ─► ingest ─► verify ─► store.append ──(group commit, fdatasync)──► 200
//!                                     │ wake
//!            route:     stored event ─► RuleSet ─► deliveries (or unrouted)        one atomic write
//!                                     │ wake
//!            dispatch:  lease due ─► permit ─► host ─► plugin ─► outcome ─► settle
//!                                                └─ steps, kv, secrets, logs: durable before they answer
//! ```
//!
//! The three loops (ingest, route, dispatch) share nothing but the store and a wake-up.
//! A module may use only what stands above it in this list; `tests/it/absences.rs` checks it.
#![forbid(unsafe_code)]

pub mod model;
pub mod privacy;
pub mod observe;
pub mod rules;
pub mod verify;
pub mod artifact;
pub mod config;
pub mod store;
pub mod host;
pub mod ingest;
pub mod route;
pub mod replay;
pub mod dispatch;
pub mod retain;
pub mod admin;
pub mod app;
pub mod doctor;
pub mod workshop;
pub mod cli;
