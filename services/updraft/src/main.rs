//! The `updraft` binary.
fn main() {}
