//! Why an edge cannot start, and why it could not talk to control.

use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;
use updraft_model::TooFarApart;

#[derive(Debug, Error)]
pub enum EdgeError {
    #[error("the edge token could not be read from {path}: check the file and its permissions")]
    Token { path: PathBuf, source: std::io::Error },
    #[error("control's address must be an https:// or http:// address, not {0}")]
    ControlUrl(url::Url),
    #[error("the authority in {path} could not be read: it has to be one or more certificates, PEM")]
    Authority { path: PathBuf, source: std::io::Error },
    #[error("no authority is known by which control could be believed: install ca-certificates, or name one")]
    NoAuthority,
    #[error("the state directory {path} could not be made ready")]
    StateDir { path: PathBuf, source: std::io::Error },
    #[error("{address} could not be bound: stop what uses it, or choose another port")]
    Bind {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("a serving thread could not be started")]
    Thread(#[source] std::io::Error),
}

/// One call to control failed. Never shown to a browser.
#[derive(Debug, Error)]
pub(crate) enum ControlError {
    #[error("control could not be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    #[error("control's answer was cut off")]
    Cut(#[source] hyper::Error),
    #[error("control did not answer in time")]
    TimedOut,
    #[error("control answered {0}")]
    Refused(http::StatusCode),
    #[error("control is not understood: {0}")]
    TooFarApart(#[from] TooFarApart),
    #[error("control's answer could not be read")]
    Malformed(#[source] serde_json::Error),
    #[error("the request could not be made")]
    Request(#[source] http::Error),
}
