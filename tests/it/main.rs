//! One integration binary.

mod door;
mod plugin_abi;
mod signature_sdk;
