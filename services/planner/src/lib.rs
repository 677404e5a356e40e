#![doc = include_str!("../README.md")]

mod action;
mod desired;
mod failure;
pub mod limits;
mod nodes;
mod observed;
mod phase;
mod plan;
mod steps;

pub use action::{Action, Outcome, Plan};
pub use desired::{Desired, Operation};
pub use observed::{
    LaunchFailure, LaunchFailureKind, Loss, Node, NodeState, Observed, Orphan, PlaceHistory, ProviderView,
    Report, Resource,
};
pub use plan::plan;
