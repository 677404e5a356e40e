//! The words of Updraft's domain: ids, names, specs, phases. No IO, no async, no clock.
//!
//! Everything here is plain data that every other crate agrees on; decisions live in `planner` and `authz`.

pub mod address;
mod audit;
mod aws_account;
mod bootstrap;
mod ca_certificate;
mod checked_source;
mod cluster;
mod credential;
mod dag_source;
mod environment;
mod id;
mod identity_provider;
mod idle_stop;
mod logs;
mod metadata_database;
mod name;
mod node;
mod on_stop;
mod operation;
mod phase;
mod protocol;
mod schedule;
mod token_limit;
mod typed_source;
mod wishes;
mod worker_queue;

pub use audit::{AuditActorKind, AuditOutcome};
pub use aws_account::{AwsAccountConfig, AwsMachine, AwsMarket, AwsVolume, NodeAccount};
pub use bootstrap::{BootstrapKey, BootstrapScript, BootstrapSpec};
pub use ca_certificate::{CaCertificate, InvalidCertificate};
pub use checked_source::{SourceFault, credential_fits, push_prefix};
pub use cluster::{ClusterRole, ClusterSize, ClusterSpec, Power, TenantRole};
pub use credential::{CredentialConfig, CredentialKind};
pub use dag_source::{DagFolder, DagSource, FolderSource, InvalidFolder};
pub use environment::{
    EnvironmentKey, EnvironmentSpec, FoundPlugins, FoundRequirements, PackageIndex, RequirementsFile,
    requirement_lines,
};
pub use id::{
    AuditId, AwsAccountId, ClusterId, DagHookId, EdgeId, EventId, Generation, GroupId, NodeId, OperationId,
    ProviderId, RuleId, SessionId, TenantId, TokenId, UserId,
};
pub use identity_provider::{OidcConfig, OidcPreset, ProviderConfig, SamlAttributes, SamlConfig, ScimLink};
pub use idle_stop::{IdleStop, InvalidIdleStop};
pub use logs::{LogBucketSpec, LogsSpec};
pub use metadata_database::{MetadataDatabase, SslMode};
pub use name::{AwsAccountName, ClusterName, CredentialName, InvalidName};
pub use node::{
    AgentPhase, Broker, NOT_ON_THIS_NODE, NodeRole, ServiceName, ServiceState, ServiceStatus, UnknownWord,
};
pub use on_stop::{InvalidOnStop, OnStop};
pub use operation::{OperationKind, OperationState, Step, StepState};
pub use phase::{Failure, Phase};
pub use protocol::{Protocol, TooFarApart};
pub use schedule::Schedule;
pub use token_limit::TokenLimit;
pub use typed_source::InvalidSource;
pub use wishes::{ServiceWishes, Wish};
pub use worker_queue::{InvalidQueue, InvalidQueueName, QueueName, WorkerQueue};
