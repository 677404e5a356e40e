//! What a cluster's tasks know and nobody is shown, as REST names it.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A secret of a cluster's tasks, without its value: that is never shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskSecretView {
    /// The environment variable that tasks read it from.
    pub name: String,
    pub set_at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskSecretList {
    pub items: Vec<TaskSecretView>,
}

/// `PATCH /clusters/{id}/secrets`: what is not named stays as it is.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTaskSecrets {
    /// Environment variable → value, of at most 32 KiB.
    #[schema(value_type = BTreeMap<String, String>)]
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Names.
    #[serde(default)]
    pub remove: Vec<String>,
}

impl fmt::Debug for ChangeTaskSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeTaskSecrets")
            .field("set", &self.set.keys().collect::<Vec<_>>())
            .field("remove", &self.remove)
            .finish()
    }
}
