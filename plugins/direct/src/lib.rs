//! The direct flow.
