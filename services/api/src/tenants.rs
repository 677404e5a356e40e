//! Several tenants on one control plane, under `/api/v1`: the operator's, and one's own.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use updraft_model::{TenantId, TenantRole};
use utoipa::ToSchema;

/// A tenant as the operator sees it: numbers, nothing of what is in it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TenantView {
    pub id: TenantId,
    pub name: String,
    /// Clusters it may have.
    pub max_clusters: u32,
    /// Nodes that its running clusters may have together.
    pub max_nodes: u32,
    pub clusters: u32,
    pub people: u32,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// 1 to 100 characters, no other tenant's.
    pub name: String,
    /// Default: 20.
    #[serde(default)]
    pub max_clusters: Option<u32>,
    /// Default: 100.
    #[serde(default)]
    pub max_nodes: Option<u32>,
    pub owner: NewOwner,
}

/// The person a tenant begins with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOwner {
    pub email: String,
    pub name: String,
    /// 12 to 128 characters. Default: a random one, shown once. Somebody who has an account keeps their own.
    #[serde(default)]
    #[schema(format = Password)]
    pub password: Option<String>,
}

/// A new tenant. Its owner's password is shown once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MadeTenant {
    pub tenant: TenantView,
    /// `null` when you gave one, or the owner has an account already.
    pub owner_password: Option<String>,
}

/// A local account whose person cannot sign in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountInNeed {
    /// Its address.
    pub email: String,
}

/// What is absent stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateTenant {
    #[serde(default)]
    pub max_clusters: Option<u32>,
    #[serde(default)]
    pub max_nodes: Option<u32>,
}

/// A tenant that the caller belongs to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MyTenant {
    pub tenant: TenantId,
    pub name: String,
    pub tenant_role: TenantRole,
    /// The one this session is for.
    pub current: bool,
    /// Why this session cannot go there; `null` when it can.
    pub obstacle: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchTenant {
    pub tenant: TenantId,
}
