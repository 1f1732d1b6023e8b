//! One integration binary.

mod store_kill;
mod store_power_cut;
