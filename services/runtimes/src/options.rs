//! Airflow's own list of options, and what a tenant may set.

use serde::Deserialize;
use thiserror::Error;

/// One option of Airflow's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigOption {
    /// `section.key`
    pub key: String,
    /// The type Airflow documents: `string`, `boolean`, `integer`, `float`.
    pub kind: String,
    /// What holds when the tenant says nothing.
    pub default: Option<String>,
    pub description: Option<String>,
    /// Set or locked by Updraft; cannot be overridden.
    pub managed: bool,
    pub sensitive: bool,
}

/// An override that is refused: which, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    #[error("`{key}` is not an option of this Airflow release{}", suggest(near.as_deref()))]
    Unknown { key: String, near: Option<String> },
    #[error("`{key}` is managed by Updraft and cannot be overridden: leave it out")]
    Managed { key: String },
    #[error("`{key}` must be {expected}, not `{given}`")]
    BadValue {
        key: String,
        expected: &'static str,
        given: String,
    },
}

#[derive(Deserialize)]
pub(crate) struct OptionList {
    pub(crate) options: Vec<ListedOption>,
}

#[derive(Deserialize)]
pub(crate) struct ListedOption {
    pub(crate) section: String,
    pub(crate) key: String,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) default: Option<String>,
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) sensitive: bool,
}

// === impl ConfigError ===

impl ConfigError {
    /// The key the error is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Unknown { key, .. } | Self::Managed { key } | Self::BadValue { key, .. } => key,
        }
    }
}

// === impl ConfigOption ===

impl ConfigOption {
    pub(crate) fn check(&self, value: &str) -> Result<(), ConfigError> {
        let wrong = |expected| {
            Err(ConfigError::BadValue {
                key: self.key.clone(),
                expected,
                given: value.chars().take(60).collect(),
            })
        };
        if self.managed {
            return Err(ConfigError::Managed {
                key: self.key.clone(),
            });
        }
        if value.contains(['\0', '\n', '\r']) || value.len() > 4096 {
            return wrong("one line of at most 4,096 characters");
        }
        match self.kind.as_str() {
            "boolean" if !is_boolean(value) => wrong("`True` or `False`"),
            "integer" if value.parse::<i64>().is_err() => wrong("a whole number"),
            "float" if value.parse::<f64>().is_err() => wrong("a number"),
            _ => Ok(()),
        }
    }
}

/// As Airflow's `getboolean` reads it.
fn is_boolean(value: &str) -> bool {
    ["t", "true", "1", "f", "false", "0"].contains(&value.to_ascii_lowercase().as_str())
}

/// The known key most like an unknown one, if any is near.
pub(crate) fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|candidate| (distance(key, candidate), candidate))
        .filter(|(far, _)| *far <= 4)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

fn suggest(near: Option<&str>) -> String {
    match near {
        Some(near) => format!(": did you mean `{near}`?"),
        None => ": the configuration catalogue lists all options".to_owned(),
    }
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
