//! The words of Updraft's domain: ids, names, specs, phases. No IO, no async, no clock.
//!
//! Everything here is plain data that every other crate agrees on; decisions live in `planner` and `authz`.

mod cluster;
mod id;
mod identity_provider;
mod name;
mod node;
mod operation;
mod phase;
mod wishes;
mod token_limit;

pub use cluster::{ClusterRole, ClusterSpec, DagSource, NodeCounts, Power, TenantRole};
pub use id::{
    ClusterId, EventId, Generation, NodeId, OperationId, ProviderId, RuleId, SessionId, TenantId, TokenId,
    UserId,
};
pub use identity_provider::{OidcConfig, OidcPreset, ProviderConfig, SamlAttributes, SamlConfig};
pub use name::{ClusterName, InvalidName};
pub use node::{AgentPhase, NodeRole, ServiceName, ServiceState, ServiceStatus, UnknownWord};
pub use operation::{OperationKind, OperationState, Step, StepState};
pub use phase::{Failure, Phase};
pub use wishes::{ServiceWishes, Wish};
pub use token_limit::TokenLimit;
