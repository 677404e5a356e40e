#![doc = include_str!("../README.md")]

mod call;
mod client;
mod clusters;
mod error;
mod events;
mod people;
mod retry;
mod server;
mod sessions;
mod sse;

mod tenants;
pub use call::IdempotencyKey;
pub use client::Client;
pub use error::ClientError;
pub use events::EventFilter;
pub use retry::MAX_ATTEMPTS;
