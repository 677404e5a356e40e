//! What was done and what was refused, by whom and from where. Append-only: the table itself refuses anything else.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use updraft_model::{AuditActorKind, AuditId, AuditOutcome, TenantId};
use uuid::Uuid;

use crate::StoreError;
use crate::error::{text, word};

/// A line as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// None: nobody's in particular.
    pub tenant: Option<TenantId>,
    pub actor_kind: AuditActorKind,
    /// A person's, provider's or service account's.
    pub actor_id: Option<Uuid>,
    /// As they were called then.
    pub actor_name: String,
    /// `session:…` or `token:…`
    pub credential: Option<String>,
    pub action: String,
    pub outcome: AuditOutcome,
    pub reason: Option<String>,
    pub target: Option<String>,
    pub target_name: Option<String>,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub id: AuditId,
    pub at: DateTime<Utc>,
    pub entry: Entry,
}

/// Which lines; what is absent does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// An actor's id, or their whole name in any case.
    pub actor: Option<String>,
    /// How the action begins: `cluster.` for all that is done to clusters.
    pub action: Option<String>,
    pub outcome: Option<AuditOutcome>,
    /// `cluster:7`, or the whole name of what it was done to.
    pub target: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

struct Row {
    id: i64,
    tenant_id: Option<Uuid>,
    at: DateTime<Utc>,
    actor_kind: String,
    actor_id: Option<Uuid>,
    actor_name: String,
    credential: Option<String>,
    action: String,
    outcome: String,
    reason: Option<String>,
    target: Option<String>,
    target_name: Option<String>,
    before: Option<Value>,
    after: Option<Value>,
    address: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
}

/// # Errors
/// When the database cannot be asked.
pub async fn append(connection: &mut PgConnection, entry: &Entry) -> Result<AuditId, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into audit_log (tenant_id, actor_kind, actor_id, actor_name, credential, action, outcome, reason,
                                target, target_name, before, after, address, user_agent, request_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::text::inet, $14, $15)
         returning id",
        entry.tenant.map(|tenant| tenant.0),
        text("actor kind", &entry.actor_kind)?,
        entry.actor_id,
        entry.actor_name,
        entry.credential.as_deref(),
        entry.action,
        entry.outcome.as_str(),
        entry.reason.as_deref(),
        entry.target.as_deref(),
        entry.target_name.as_deref(),
        entry.before.as_ref(),
        entry.after.as_ref(),
        entry.address.map(|address| address.to_string()),
        entry.user_agent.as_deref(),
        entry.request_id.as_deref(),
    )
    .fetch_one(connection)
    .await?;
    Ok(AuditId(id))
}

/// The lines of one tenant, or with none of nobody in particular; newest first, those before `before` only.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list_before(
    connection: &mut PgConnection,
    tenant: Option<TenantId>,
    filter: &Filter,
    before: Option<AuditId>,
    limit: i64,
) -> Result<Vec<Line>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id, tenant_id, at, actor_kind, actor_id, actor_name, credential, action, outcome, reason, target,
                  target_name, before, after, host(address) as address, user_agent, request_id
           from audit_log
           where (tenant_id = $1 or $1::uuid is null and tenant_id is null)
             and ($2::bigint is null or id < $2)
             and ($3::text is null or actor_id::text = $3 or lower(actor_name) = lower($3))
             and ($4::text is null or starts_with(action, $4))
             and ($5::text is null or outcome = $5)
             and ($6::text is null or target = $6 or lower(target_name) = lower($6))
             and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
           order by id desc
           limit $9"#,
        tenant.map(|tenant| tenant.0),
        before.map(|id| id.0),
        filter.actor.as_deref(),
        filter.action.as_deref(),
        filter.outcome.map(AuditOutcome::as_str),
        filter.target.as_deref(),
        filter.since,
        filter.until,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Line::try_from).collect()
}

/// The same lines oldest first, those after `after` only.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list_after(
    connection: &mut PgConnection,
    tenant: Option<TenantId>,
    filter: &Filter,
    after: AuditId,
    limit: i64,
) -> Result<Vec<Line>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id, tenant_id, at, actor_kind, actor_id, actor_name, credential, action, outcome, reason, target,
                  target_name, before, after, host(address) as address, user_agent, request_id
           from audit_log
           where (tenant_id = $1 or $1::uuid is null and tenant_id is null)
             and id > $2
             and ($3::text is null or actor_id::text = $3 or lower(actor_name) = lower($3))
             and ($4::text is null or starts_with(action, $4))
             and ($5::text is null or outcome = $5)
             and ($6::text is null or target = $6 or lower(target_name) = lower($6))
             and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
           order by id
           limit $9"#,
        tenant.map(|tenant| tenant.0),
        after.0,
        filter.actor.as_deref(),
        filter.action.as_deref(),
        filter.outcome.map(AuditOutcome::as_str),
        filter.target.as_deref(),
        filter.since,
        filter.until,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Line::try_from).collect()
}

// === impl Line ===

impl TryFrom<Row> for Line {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let address = row.address.map(|address| address.parse()).transpose();
        Ok(Self {
            id: AuditId(row.id),
            at: row.at,
            entry: Entry {
                tenant: row.tenant_id.map(TenantId),
                actor_kind: word("actor kind", &row.actor_kind)?,
                actor_id: row.actor_id,
                actor_name: row.actor_name,
                credential: row.credential,
                action: row.action,
                outcome: word("outcome", &row.outcome)?,
                reason: row.reason,
                target: row.target,
                target_name: row.target_name,
                before: row.before,
                after: row.after,
                address: address.map_err(|_| StoreError::Corrupt { what: "address" })?,
                user_agent: row.user_agent,
                request_id: row.request_id,
            },
        })
    }
}
