#![doc = include_str!("../README.md")]

mod action;
mod agents;
mod calendar;
mod desired;
mod environment;
mod failure;
mod idle;
pub mod key_turn;
mod keys;
pub mod limits;
mod network;
mod nodes;
mod observed;
mod phase;
mod plan;
mod scaling;
mod steps;
mod workers;

pub use action::{Action, Outcome, Plan};
pub use agents::{AgentFailure, stops_for_all};
pub use calendar::{Calendar, InvalidSchedule, Upcoming};
pub use desired::{Desired, EnvironmentChange, EnvironmentStage, KeyStage, KeyTurn, Operation};
pub use idle::{Idleness, Verdict, judge};
pub use nodes::gives_tasks_their_time;
pub use observed::{
    Build, BuildOutcome, BuildStage, BuildStageKind, Fewer, Hearing, LateFailures, LaunchFailure,
    LaunchFailureKind, Loss, Node, NodeState, Observed, Orphan, PlaceHistory, ProviderView, QueueLoad,
    QueueSize, Reencryption, Report, Resource, Switch,
};
pub use plan::plan;
