//! Who may use which cluster, and why: access rules, explanations, and people as cluster admins see them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use updraft_authz::{Outcome, Target, Who};
use updraft_model::{ClusterId, ClusterRole, RuleId, TenantRole, UserId};
use utoipa::ToSchema;

/// `PATCH /people/{user}`
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePerson {
    pub tenant_role: TenantRole,
}

/// `POST /access-rules`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccessRule {
    pub who: Who,
    pub role: ClusterRole,
    pub target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessRuleView {
    pub id: RuleId,
    pub who: Who,
    pub role: ClusterRole,
    pub target: Target,
    /// The address of whoever made it; `null` when they are gone.
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// Somebody of the organisation, as far as an admin of a cluster needs to know them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClusterPerson {
    pub user: UserId,
    pub name: String,
    pub email: String,
    /// What they may do on this cluster; `null`: nothing.
    pub role: Option<ClusterRole>,
    /// Where the role comes from.
    pub through: Option<Through>,
    /// What was given to them on this cluster by name, whatever else they have.
    pub granted: Option<ClusterRole>,
}

/// Where a role comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Through {
    /// Owners of the organisation are admin of each of its clusters.
    Owner,
    /// Given on the cluster, by name.
    Grant,
    Rule {
        id: RuleId,
        who: Who,
        target: Target,
    },
}

/// Why somebody may, or may not, use a cluster.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AccessExplanation {
    pub cluster: ClusterId,
    pub user: UserId,
    pub name: String,
    pub email: String,
    /// What they may do; `null`: nothing.
    pub role: Option<ClusterRole>,
    pub reasons: Vec<AccessReason>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessReason {
    pub through: Through,
    /// The role it gives, or would give.
    pub role: ClusterRole,
    pub outcome: Outcome,
}
