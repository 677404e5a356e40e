//! The audit log: `GET /audit`, and each line of `GET /audit.ndjson` and of the objects in S3.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use updraft_model::{AuditActorKind, AuditId, AuditOutcome, TenantId};
use utoipa::ToSchema;
use uuid::Uuid;

/// Whose log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOf {
    /// The caller's organisation's, for its owners.
    #[default]
    Tenant,
    /// What is nobody's in particular, for operators: sign-ins with unknown addresses, credentials that were never given.
    Installation,
}

/// Who tried what, from where, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    pub id: AuditId,
    pub at: DateTime<Utc>,
    /// `null`: nobody's in particular, for example a sign-in with an unknown address.
    pub tenant: Option<TenantId>,
    pub actor: AuditActor,
    /// `cluster.start`, `sign_in.password`, `access_rule.create`, …
    pub action: String,
    pub outcome: AuditOutcome,
    /// Why it was refused or failed: the last word of the problem's `type`.
    pub reason: Option<String>,
    /// `cluster:7`, `person:…`
    pub target: Option<String>,
    /// What the target was called then.
    pub target_name: Option<String>,
    /// Of objects only what differs. Secrets read `(hidden)`.
    #[schema(value_type = Object)]
    pub before: Option<Value>,
    /// `{"repeated": n}` when the line stands for n refusals like the ones before it.
    #[schema(value_type = Object)]
    pub after: Option<Value>,
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
    /// `x-request-id` of the answer.
    pub request_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditActor {
    pub kind: AuditActorKind,
    pub id: Option<Uuid>,
    /// The address they had then, or that they claimed.
    pub name: String,
    /// The session or API token: `session:…`, `token:…`.
    pub credential: Option<String>,
}
