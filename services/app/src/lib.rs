#![doc = include_str!("../README.md")]

mod access;
mod accounts;
mod app;
mod airflow_url;
mod authenticate;
mod changes;
pub mod audit;
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
mod my_tenants;
mod people;
mod power;
mod quota;
mod services;
mod spec;
mod view;
mod rights;
mod service_accounts;
mod scim;

pub use app::App;
pub use config::AppConfig;
pub use error::{AppError, Resource};
mod sso;
mod tenancy;
mod tenants;
mod tokens;
pub use idempotency::{IdempotencyKey, IdempotentClaim, StoredAnswer};
pub use install::{FirstOwner, install_tenant};
pub use airflow_url::{AirflowUrl, AirflowUrlError};
pub use live::LiveReports;
pub use page::{EventRange, PageRequest};
pub use updraft_authz::Actor;
pub use updraft_sso::SignInQuota;
pub use updraft_store::tenants::Quota;
pub use scim::{Directory, ScimError, ScimQuery, ScimResource};
pub use tenancy::{Tenancy, TenancyRefusal};
pub use sso::{
    BeginSignIn, BegunSignIn, Finished, Retry, SamlLogout, SignInChoices, SsoError, SystemDns, TxtAnswer, TxtRecords,
    WayIn,
};
