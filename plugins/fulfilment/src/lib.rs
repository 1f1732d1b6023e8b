//! What the shipped plugins share, and a place to copy from when you write your own.
//!
//! `plugins/sumo` and `plugins/direct` do the same thing with different rows: read a paid Checkout Session, change the
//! database once, send one mail; and keep up with what follows (`facts`: refunds, disputes, subscriptions). The parts that
//! are alike live here, in the order in which a delivery meets them (what an event says is read by the SDK's views,
//! `hookyard_plugin::stripe`):
//!
//! ```text
//! event ─► admit ─► one transaction: the claim, the rows, the owed mail ─► mail, in a step ─► row marked sent
//!             │ not paid, not ours, broken             │ any error                       │ refused / busy
//!             └► ignore or reject                      └► retry                          └► reject / retry
//! ```
//!
//! What survives a crash: everything behind the transaction's commit. Before it nothing happened; after it the mail is
//! owed by a row in `mails`, and the same event's retry pays that debt under the same Message-ID.
//!
//! # For shops: the orders table
//!
//! The direct plugin marks orders paid that the shop wrote *before* it sent the buyer to Checkout:
//!
//! ```sql
//! INSERT INTO orders (id, stripe_session_id, amount_total, currency)
//! VALUES ('order-2026-000417', 'cs_live_…', 12900, 'usd');
//! ```
//!
//! An order is found by the session's id, else by the session's `client_reference_id` (against `client_reference`, then
//! `id`), else by its `metadata.order_id` (against `id`). Leave `amount_total` and `currency` out where Checkout decides
//! the sum (promotion codes, taxes); otherwise a payment of another sum is a dead letter, not a paid order.

#![forbid(unsafe_code)]

pub mod admit;
pub mod database;
pub mod email;
pub mod facts;
pub mod fault;
pub mod mail;
pub mod money;
pub mod outbox;
pub mod settings;
pub mod statements;
pub mod templates;
