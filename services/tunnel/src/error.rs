//! Why a tunnel cannot be had.

use std::io;

use thiserror::Error;

#[derive(Debug, Error)]
pub enum TunnelError {
    #[error("the tunnel's certificates cannot be used: {0}")]
    Certificates(&'static str),
    #[error("the tunnel's TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// Why one dial led to no tunnel.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    #[error("the edges' tunnel address could not be reached")]
    Connect(#[source] io::Error),
    #[error("the edge could not be verified")]
    Tls(#[source] io::Error),
    #[error("the edge broke off")]
    Broken(#[from] io::Error),
    /// In the edge's words.
    #[error("the edge refused: {0}")]
    Refused(String),
    #[error("there was no answer in time")]
    TimedOut,
    #[error(transparent)]
    Settings(#[from] TunnelError),
}

/// Why the near end turned a dial away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("this edge speaks version 1 of the tunnel's protocol")]
    Protocol,
    #[error("that is no hello")]
    Malformed,
    /// The same for an unknown node and for a wrong token.
    #[error("this node is not awaited")]
    NotAwaited,
    #[error("this node has enough tunnels here")]
    Enough,
}
