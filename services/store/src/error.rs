//! What can go wrong in the database, as the layers above tell it apart.

use thiserror::Error;

#[derive(Debug, Error)]
pub enum StoreError {
    /// A unique or exclusion constraint refused a row; the name of the constraint says which.
    #[error("the row is already there (constraint `{constraint}`)")]
    Conflict { constraint: String },
    /// The row that was to be changed is not there, or no longer what it was.
    #[error("no such {what}")]
    Missing { what: &'static str },
    /// A value in the database is not one this version writes.
    #[error("the database holds a {what} that cannot be read")]
    Corrupt { what: &'static str },
    #[error("the database could not be asked")]
    Database(#[source] sqlx::Error),
    /// The role can be dropped only once nothing of it is left there.
    #[error(
        "the role `{role}` left something in the database `{database}` of the metadata server, which its administrator may not \
         enter: run `drop owned by {role}` there, and `revoke connect, temporary on database {database} from public`"
    )]
    LeftBehind {
        role: String,
        database: String,
        #[source]
        source: sqlx::Error,
    },
    #[error("the database's tables could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    #[error(
        "the database was migrated by a newer release (its migration {migration} is not known here): start that release, or \
         restore the backup of before"
    )]
    NewerDatabase { migration: i64 },
}

// === impl StoreError ===

impl StoreError {
    /// Whether a row was refused by this constraint.
    #[must_use]
    pub fn is_conflict_on(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint } if constraint == name)
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::VersionMissing(migration) => Self::NewerDatabase { migration },
            other => Self::Migrate(other),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refused) if refused.is_unique_violation() => Self::Conflict {
                constraint: refused.constraint().unwrap_or_default().to_owned(),
            },
            _ => Self::Database(error),
        }
    }
}

/// Reads a word of a closed list out of the database.
pub(crate) fn word<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| StoreError::Corrupt { what })
}

/// Writes a word of a closed list as the database keeps it.
pub(crate) fn text<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        _ => Err(StoreError::Corrupt { what }),
    }
}

/// Asserts that exactly one row was changed.
pub(crate) fn one_row(what: &'static str, affected: u64) -> Result<(), StoreError> {
    if affected == 1 {
        Ok(())
    } else {
        Err(StoreError::Missing { what })
    }
}
