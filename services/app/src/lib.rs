#![doc = include_str!("../README.md")]

mod access;
mod accounts;
mod app;
mod authenticate;
mod changes;
mod clusters;
mod config;
mod config_options;
mod error;
mod events;
mod grants;
mod handover;
mod health;
mod hub;
mod idempotency;
mod install;
mod live;
mod nodes;
mod operations;
mod page;
mod people;
mod power;
mod quota;
mod services;
mod spec;
mod view;

pub use app::App;
pub use config::AppConfig;
pub use error::{AppError, Resource};
pub use idempotency::{IdempotencyKey, IdempotentClaim, StoredAnswer};
pub use install::{FirstOwner, install_tenant};
pub use live::LiveReports;
pub use page::{EventRange, PageRequest};
pub use updraft_authz::Actor;
pub use updraft_sso::SignInQuota;
pub use updraft_store::tenants::Quota;
