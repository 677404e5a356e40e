//! control

pub mod reconciler;
