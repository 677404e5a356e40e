#![doc = include_str!("../README.md")]

mod alarm;
pub mod assets;
mod authz;
mod body;
mod cluster_uses;
mod config;
mod control;
mod endpoints;
mod error;
mod forward;
mod frames;
mod handle;
mod headers;
mod keep;
mod line;
mod linger;
mod listeners;
mod pages;
mod pool;
mod refusals;
mod reply;
mod request_id;
mod route;
mod run;
mod serve;
mod session;
mod snapshot;
mod state;
mod table;
mod token;
mod token_uses;
mod tunnels;
mod websocket;

pub use config::{EdgeConfig, Limits, Scheme};
pub use error::EdgeError;
pub use run::run;
