#![doc = include_str!("../README.md")]

mod assets;
mod attempt;
mod audit;
mod csrf;
mod error;
mod extract;

#[cfg(any(test, feature = "preview"))]
mod fixtures;
#[cfg(any(test, feature = "preview"))]
mod fixtures_aws;
#[cfg(any(test, feature = "preview"))]
mod fixtures_dags;
#[cfg(any(test, feature = "preview"))]
mod fixtures_logs;
#[cfg(any(test, feature = "preview"))]
mod fixtures_sign_in;
mod frame;
mod icon;
mod live;
mod local_path;
mod pages;
#[cfg(feature = "preview")]
pub mod preview;
mod refusal;
mod router;
#[cfg(test)]
mod router_tests;
mod session;
mod shell;
mod state;
mod text;
mod timeline;
mod tone;

pub use router::router;
pub use state::ConsoleConfig;
