//! The words of hookyard as plain types: ids, event, delivery, attempt, retry schedule, retention, clock,
//! limits.
//!
//! Pure: no I/O, no serde, no store, no time but through [`clock::Clock`]. Every other module speaks these types;
//! the ones at an edge (store codec, operator API, host protocol) mirror them there.

pub mod attempt;
pub mod canary;
pub mod clock;
pub mod confinement;
pub mod crashes;
pub mod delivery;
pub mod event;
pub mod http_access;
pub mod ids;
pub mod isolation;
pub mod limits;
pub mod memory;
pub mod retention;
pub mod retry;
pub mod signed_by;
pub mod verdict;
