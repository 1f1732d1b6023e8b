//! HTTP requests to other machines, for both who make them: the plugin `forward` in its process, and the daemon for plugins
//! that want no client of their own (`hookyard.http/1`).
//!
//! From the outside in: [`pool`](mod@pool) keeps connections and says why there was no answer, [`tls`] whose certificates
//! are believed, [`connect`] resolves a name and connects, and [`address`] says which addresses may be connected at all.
//! Nothing here knows of plugins, handlers or settings.
#![forbid(unsafe_code)]

pub mod address;
pub mod connect;
pub mod pool;
pub mod tls;
