//! One integration binary: the real daemon as a process, the real plugins, real SQLite, real files.
//!
//! `yard` starts daemons, `stripe` plays Stripe, `postgres` and `mail_server` are real ones, `disk` is one whose power can be cut; each other module is one promise. A
//! test waits on states, never for a time.
// clippy lets `#[test]` functions unwrap, but not what they call.
#![allow(clippy::unwrap_used)]

mod disk;
mod mail_server;
#[path = "../../plugins/fulfilment/testing/postgres.rs"]
mod postgres;
mod stripe;
mod yard;

mod absences;
mod afterwards;
mod attack;
mod bad_input;
mod compaction;
mod config_faults;
mod database;
mod doctor;
mod door;
mod exec;
mod forward;
mod kill;
mod lifecycle;
mod load;
mod outage;
mod plugin_abi;
mod plugin_canary;
mod plugin_exchange;
mod plugin_faults;
mod plugin_inline;
mod plugin_signature;
mod power_cut;
mod privacy;
mod reload;
mod retention;
mod routing;
mod signature_sdk;
mod smtp;
mod stopping;
mod store_faults;
mod store_kill;
mod store_power_cut;
mod stories;
mod sync_before_answer;
