//! How long a cluster's logs are kept, and where.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::CredentialName;

/// How long logs are kept, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogsSpec {
    /// Days that lines are kept, 1 to 3650.
    #[serde(default = "ninety")]
    pub retention_days: u32,
    /// A bucket of the tenant's own. Absent: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<LogBucketSpec>,
}

/// A bucket of the tenant's own, for logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogBucketSpec {
    pub bucket: String,
    /// Key prefix without leading slash, for example `airflow/`; logs lie below it under the tenant's and the cluster's id.
    #[serde(default)]
    pub prefix: String,
    /// For example `eu-west-1`.
    pub region: String,
    /// `https://…` of a storage that is not AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Name of a credential of kind `s3_keys` or `aws_role` that may list, read, write and delete below the prefix.
    pub credential: CredentialName,
}

// === impl LogsSpec ===

impl Default for LogsSpec {
    fn default() -> Self {
        Self {
            retention_days: ninety(),
            bucket: None,
        }
    }
}

fn ninety() -> u32 {
    90
}
