//! Wire types: REST ([`rest`], [`tokens`]), what agents and control say to each other ([`agent`]), what edges and control say to
//! each other ([`edge`]), and RFC 9457 problems ([`Problem`]). No logic.

pub mod access;
pub mod agent;
mod agent_release;
pub mod audit;
pub mod aws_accounts;
pub mod boot_log;
mod bootstrap_script;
mod dag_delivery;
pub mod dags;
pub mod device;
pub mod edge;
pub mod edge_refusals;
mod environment_build;
mod log_delivery;
pub mod log_layout;
pub mod logs;
mod metadata_check;
pub mod passwords;
mod problem;
pub mod queues;
mod reencryption;
pub mod rest;
pub mod schedule;
pub mod sign_in;
pub mod task_load;
pub mod task_secrets;
pub mod tenants;
pub mod tokens;
pub mod tunnel;

pub use problem::Problem;
