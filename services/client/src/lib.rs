#![doc = include_str!("../README.md")]

mod access;
mod audit;
mod aws_accounts;
mod call;
mod client;
mod clusters;
mod dags;
mod error;
mod events;
mod follow;
mod logs;
mod people;
mod retry;
mod server;
mod sessions;
mod sign_in;
mod sse;
mod task_secrets;
mod tenants;
mod tokens;

pub use audit::AuditFilter;
pub use call::IdempotencyKey;
pub use client::Client;
pub use error::ClientError;
pub use events::EventFilter;
pub use retry::MAX_ATTEMPTS;
