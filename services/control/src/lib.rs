#![doc = include_str!("../README.md")]

pub mod agents;
pub mod assignments;
pub mod audit_export;
pub mod edges;
pub mod environments;
pub mod installation_keys;
mod internal;
mod live;
pub mod log_sweep;
pub mod mail;
pub mod master_key;
pub mod node_accounts;
mod protocol;
pub mod proxies;
pub mod reconciler;
mod rest;
pub mod role_renewal;
mod routes;
pub mod schedules;
mod scim;
pub mod storage_sessions;
pub mod tunnels;

pub use rest::{RestConfig, RestState};
pub use routes::{openapi_document, router as rest_router};
