//! What the shipped plugins share.
