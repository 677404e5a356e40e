//! What can be wrong with a question about logs, or with their bucket.

use thiserror::Error;

pub type Result<T> = std::result::Result<T, LogsError>;

#[derive(Debug, Error)]
pub enum LogsError {
    #[error("`{field}` can't be asked for: {why}")]
    Invalid { field: &'static str, why: String },
    /// The bucket is away, or refuses.
    #[error("the log bucket did not answer")]
    Bucket(#[from] object_store::Error),
    /// There is too much to look through.
    #[error("{0}")]
    TooMuch(String),
    /// Objects were packed into one while they were read.
    #[error("logs were packed while they were read")]
    Packed,
    #[error("reading logs was interrupted")]
    Interrupted,
}

// === impl LogsError ===

impl LogsError {
    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            why: why.into(),
        }
    }
}
