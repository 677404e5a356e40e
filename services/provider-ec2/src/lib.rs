#![doc = include_str!("../README.md")]

mod accounts;
mod agent_archive;
mod answers;
mod artifacts;
mod boot_logs;
mod checks;
mod config;
mod groups;
mod listing;
mod newborn;
mod preflight;
mod provider;
mod refusal;
mod request;
mod user_data;
mod volumes;

pub use accounts::Ec2Accounts;
pub use agent_archive::AgentArchive;
pub use boot_logs::{BootLogError, BootLogs};
pub use config::{
    Archive, Artifacts, ConfigError, Ec2Config, Image, Machine, Market, RootVolume, StorePlace, TenantAccount,
};
pub use preflight::{Check, Preflight};
pub use provider::{Ec2Provider, SetupError};
