//! hookyard.
fn main() {}
