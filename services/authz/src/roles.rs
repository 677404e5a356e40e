//! The one place where rights are decided.

use serde::{Deserialize, Serialize};
use updraft_model::{ClusterId, ClusterRole, RuleId, TenantId, TenantRole, UserId};

use crate::Credential;

/// A signed-in person, or a program with a token of theirs, acting in one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub user: UserId,
    pub tenant: TenantId,
    pub tenant_role: TenantRole,
    pub credential: Credential,
    /// A program, and no person.
    pub is_service: bool,
    pub email: String,
    pub name: String,
}

/// A role on one cluster, given to one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub cluster: ClusterId,
    pub user: UserId,
    pub role: ClusterRole,
}

/// Why a person has a role, for "why may she?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Owners of the tenant are admin of each of its clusters.
    TenantOwner,
    /// The role was granted to this person.
    Granted,
    /// An access rule gives it.
    Rule(RuleId),
}

/// What is done to the tenant as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantAction {
    CreateCluster,
    ManagePeople,
    /// Make and remove access rules.
    ManageAccess,
    ReadAuditLog,
    /// Keep what clusters prove themselves with elsewhere.
    ManageCredentials,
}

/// What is done to one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterAction {
    /// See it, its nodes, services, operations and events; open its Airflow.
    View,
    /// Start, stop, restart it or one of its services.
    Operate,
    /// Change its spec, delete it, grant roles on it.
    Change,
    /// Read what its tasks wrote, as Airflow's own pages show it.
    ReadTaskLogs,
    /// Read what its services wrote: it tells of configuration, addresses and other people's doings.
    ReadServiceLogs,
}

/// The role of a person on a cluster of their own tenant. The caller has made sure that the tenants are the same.
#[must_use]
pub fn cluster_role(tenant_role: TenantRole, granted: Option<ClusterRole>) -> Option<(ClusterRole, Why)> {
    match (tenant_role, granted) {
        (TenantRole::Owner, _) => Some((ClusterRole::Admin, Why::TenantOwner)),
        (TenantRole::Member, Some(role)) => Some((role, Why::Granted)),
        (TenantRole::Member, None) => None,
    }
}

#[must_use]
pub fn cluster_allows(role: ClusterRole, action: ClusterAction) -> bool {
    match action {
        ClusterAction::View | ClusterAction::ReadTaskLogs => true,
        ClusterAction::Operate | ClusterAction::Change | ClusterAction::ReadServiceLogs => {
            role == ClusterRole::Admin
        }
    }
}

#[must_use]
pub fn tenant_allows(actor: &Actor, action: TenantAction) -> bool {
    actor.credential.acts_for_tenant() && tenant_role_allows(actor.tenant_role, action)
}

fn tenant_role_allows(role: TenantRole, action: TenantAction) -> bool {
    match action {
        TenantAction::CreateCluster
        | TenantAction::ManagePeople
        | TenantAction::ManageAccess
        | TenantAction::ManageCredentials
        | TenantAction::ReadAuditLog => role == TenantRole::Owner,
    }
}
