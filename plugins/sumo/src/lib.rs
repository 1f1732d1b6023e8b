//! The sumo flow.
