//! Both ends of tunnels on real sockets: TLS, HTTP/2, a TCP balancer between them, and edges that are killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod harness;

mod admission;
mod balancer;
mod pulse;
mod streams;
