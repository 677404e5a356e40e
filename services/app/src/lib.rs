#![doc = include_str!("../README.md")]

mod access;
mod access_rules;
mod accounts;
mod airflow_url;
mod app;
pub mod audit;
mod authenticate;
mod changes;
mod clusters;
mod config;
mod config_options;
mod device;
mod error;
mod events;
mod explain;
mod grants;
mod handover;
mod health;
mod hub;
mod idempotency;
mod install;
mod live;
mod my_tenants;
mod nodes;
mod operations;
mod page;
mod password_links;
mod people;
mod power;
mod quota;
mod rights;
mod scim;
mod second_factor;
mod second_step;
mod service_accounts;
mod services;
mod session_keys;
mod sessions;
mod spec;
mod sso;
mod tenancy;
mod tenants;
mod tokens;
mod view;

pub use airflow_url::{AirflowUrl, AirflowUrlError, HostSharing};
pub use app::App;
pub use config::AppConfig;
pub use error::{AppError, Resource};
pub use explain::PeopleFilter;
pub use idempotency::{IdempotencyKey, IdempotentClaim, StoredAnswer};
pub use install::{FirstOwner, install_tenant};
pub use live::LiveReports;
pub use page::{EventRange, PageRequest};
pub use scim::{Directory, ScimError, ScimQuery, ScimResource};
pub use second_step::FirstStep;
pub use session_keys::SessionKeys;
pub use sso::{
    BeginSignIn, BegunSignIn, Finished, Retry, SamlLogout, SignInChoices, SsoError, SystemDns, TxtAnswer,
    TxtRecords, WayIn,
};
pub use tenancy::{Tenancy, TenancyRefusal};
pub use updraft_authz::Actor;
pub use updraft_sso::SignInQuota;
pub use updraft_store::tenants::Quota;
