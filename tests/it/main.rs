//! One integration binary.

mod config_faults;
