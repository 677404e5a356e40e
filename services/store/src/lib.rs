#![doc = include_str!("../README.md")]

mod error;
mod pool;
#[cfg(feature = "testing")]
pub mod testing;

pub mod access_rules;
pub mod api_tokens;
pub mod assignments;
pub mod audit_exports;
pub mod audit_log;
pub mod clusters;
pub mod device_authorizations;
pub mod domains;
pub mod edge_refusals;
pub mod event_log;
pub mod events;
pub mod grants;
pub mod handover_codes;
pub mod idempotency_keys;
pub mod identities;
pub mod identity_providers;
pub mod leases;
pub mod memberships;
pub mod metadata;
pub mod node_identity;
pub mod node_list;
pub mod nodes;
pub mod operation_steps;
pub mod operations;
pub mod operators;
pub mod password_links;
pub mod people;
pub mod person_facts;
pub mod provider_sessions;
pub mod resources;
pub mod routes;
pub mod saml_assertions;
pub mod scim_groups;
pub mod scim_users;
pub mod second_factors;
pub mod secrets;
pub mod service_accounts;
pub mod sessions;
pub mod sign_in_attempts;
pub mod standings;
pub mod template;
pub mod tenancy;
pub mod tenants;
pub mod ways_in;

pub use error::StoreError;
pub use pool::{Announcements, Channel, Store, Tx};
pub use sqlx::PgConnection;
