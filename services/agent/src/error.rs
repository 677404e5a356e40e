//! What can go wrong in an agent. `Display` never prints its source and never a secret.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use updraft_model::TooFarApart;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Error)]
pub enum Error {
    #[error("could not {action} `{}`", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("`{}` does not hold what it should", path.display())]
    Format {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("`{0}` is not a path below the node's directory")]
    OutsideNode(String),
    #[error("there is no system user `{0}`: create it, or start the agent without a service user")]
    NoSuchUser(String),
    #[error("services should run as `{0}`, but only root can change users")]
    NotRoot(String),
    #[error("control could not be reached")]
    ControlUnreachable(#[source] reqwest::Error),
    #[error("control answered {status}: {detail}")]
    ControlRefused {
        status: u16,
        detail: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    #[error("control is not understood: {0}")]
    Protocol(#[from] TooFarApart),
    #[error("the node's certificates can't be used: {0}")]
    Certificates(&'static str),
    #[error("TLS can't be set up")]
    Tls(#[from] rustls::Error),
    #[error("could not listen on {address}")]
    Listen { address: String, source: io::Error },
    #[error("{service} could not be started: {reason}")]
    Spawn { service: String, reason: String },
    #[error("the object store could not {action}")]
    ObjectStore {
        action: &'static str,
        source: object_store::Error,
    },
    #[error("{0}")]
    Dags(String),
    #[error("{0}")]
    Environment(String),
    #[error("{0}")]
    Logs(String),
}

// === impl Error ===

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn file(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { action, path, source }
    }

    pub(crate) fn store(action: &'static str) -> impl FnOnce(object_store::Error) -> Self {
        move |source| Self::ObjectStore { action, source }
    }

    /// The whole chain in one line, for a log or an event.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(source) = next {
            text.push_str(": ");
            text.push_str(&source.to_string());
            next = source.source();
        }
        text
    }
}
