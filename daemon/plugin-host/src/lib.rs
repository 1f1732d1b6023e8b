//! Loads one plugin.
