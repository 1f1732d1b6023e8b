//! One integration binary.

mod config_faults;
mod door;
mod plugin_abi;
mod signature_sdk;
