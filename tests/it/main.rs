//! One integration binary.

mod door;
mod signature_sdk;
