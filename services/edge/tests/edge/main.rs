//! The edge as a black box: real sockets, a fake control endpoint, real upstream servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod harness;

mod api_tokens;
mod assets;
mod authorization;
mod cluster_uses;
mod control_tls;
mod drain;
mod forwarding;
mod headers;
mod kept_connections;
mod log;
mod pages;
mod paths;
mod refusals;
mod sign_in;
mod stability;
mod streaming;
mod tunnels;
mod websockets;
