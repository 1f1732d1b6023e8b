//! Misbehaves.
