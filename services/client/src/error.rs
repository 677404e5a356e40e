//! What can go wrong between a caller and the server, told apart by what the caller can do about it.

use thiserror::Error;
use updraft_api::Problem;

#[derive(Debug, Error)]
pub enum ClientError {
    /// The server understood and said no.
    #[error("{}: {}", .0.title, .0.detail)]
    Problem(Box<Problem>),
    /// No connection: wrong address, nothing listening, no network, or a certificate that is not trusted.
    #[error("no connection to {url}")]
    Connect {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    /// Connected, but no whole answer within the time limit.
    #[error("{url} did not answer in time")]
    Timeout {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke during the answer.
    #[error("the connection to {url} broke")]
    Broken {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    /// Something answered, but not an Updraft server of this version.
    #[error("{url} answered with something that is no Updraft response (HTTP {status}): {reason}")]
    NotUpdraft {
        url: String,
        status: u16,
        reason: String,
    },
    #[error("`{given}` is no server address: {reason}")]
    BadAddress { given: String, reason: String },
    #[error("the HTTP client could not be set up")]
    Setup(#[source] reqwest::Error),
}

// === impl ClientError ===

impl ClientError {
    /// The server's own HTTP status, where it sent a problem.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.problem().map(|problem| problem.status)
    }

    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the server is away for now: asking again later may well work.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Problem(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            Self::Connect { .. } | Self::Timeout { .. } | Self::Broken { .. } => true,
            Self::NotUpdraft { status, .. } => matches!(status, 502..=504),
            Self::BadAddress { .. } | Self::Setup(_) => false,
        }
    }

    pub(crate) fn from_transport(url: &url::Url, source: reqwest::Error) -> Self {
        // The address without query; the error's own copy would repeat it.
        let url = format!("{}{}", url.origin().ascii_serialization(), url.path());
        let source = source.without_url();
        if source.is_connect() {
            Self::Connect { url, source }
        } else if source.is_timeout() {
            Self::Timeout { url, source }
        } else {
            Self::Broken { url, source }
        }
    }
}
