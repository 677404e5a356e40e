//! Ids are newtypes: no bare integer or UUID crosses a signature.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = i64)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// A customer organisation.
    TenantId
);
uuid_id!(
    /// A person, across tenants.
    UserId
);
uuid_id!(
    /// One sign-in of one person in one tenant.
    SessionId
);
uuid_id!(
    /// One node of one cluster; a replacement is another node.
    NodeId
);
uuid_id!(
    /// A tenant's own AWS account.
    AwsAccountId
);
uuid_id!(
    /// One edge process: another one after each start.
    EdgeId
);
uuid_id!(
    /// One asked-for change of one cluster.
    OperationId
);
uuid_id!(
    /// One identity provider of one tenant.
    ProviderId
);
uuid_id!(
    /// One API token.
    TokenId
);
uuid_id!(
    /// One group of a tenant's directory.
    GroupId
);
uuid_id!(
    /// One access rule.
    RuleId
);
uuid_id!(
    /// One webhook's address.
    DagHookId
);
number_id!(
    /// One Airflow deployment; part of its URL for ever.
    ClusterId
);
number_id!(
    /// Position in the event log.
    EventId
);
number_id!(
    /// Position in the audit log.
    AuditId
);
number_id!(
    /// Counts the changes of one cluster's spec; agents refuse older ones.
    Generation
);

impl ClusterId {
    /// The path prefix all of this cluster's Airflow lives under, without a trailing slash.
    #[must_use]
    pub fn path_prefix(self) -> String {
        format!("/airflow-webserver-{self}")
    }
}

impl Generation {
    pub const FIRST: Self = Self(1);

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
