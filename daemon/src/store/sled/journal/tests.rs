//! The journal against crashes, damage and its own bounds.
