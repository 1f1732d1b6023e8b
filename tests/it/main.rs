//! One integration binary.

mod plugin_abi;
