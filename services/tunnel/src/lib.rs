#![doc = include_str!("../README.md")]

mod error;
mod far;
mod hello;
mod http2;
mod near;
mod pace;
mod pulse;
mod stream;
mod tls;
mod wire;

pub use error::TunnelError;
pub use far::{FarEnd, FarSettings, TUNNELS_PER_EDGE};
pub use hello::{PROTOCOL, TokenDigest};
pub use near::{NearEnd, OpenError};
pub use pace::Pace;
pub use stream::TunnelStream;
pub use tls::EdgeIdentity;
