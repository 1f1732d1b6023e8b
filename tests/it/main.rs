//! One integration binary.

mod config_faults;
mod door;
mod plugin_abi;
mod signature_sdk;
mod store_kill;
mod store_power_cut;
