//! Nodes as people see them. Their lives are written by `nodes`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{ClusterId, Generation, NodeId, NodeRole, QueueName, TenantId};

use crate::StoreError;
use crate::error::word;
use crate::nodes;

/// A node that is not gone.
#[derive(Clone, Debug)]
pub struct ListedNode {
    pub id: NodeId,
    pub role: NodeRole,
    pub ordinal: i32,
    /// Whose tasks it takes, if it is a worker.
    pub queue: Option<QueueName>,
    pub generation: Generation,
    pub address: Option<String>,
    /// Its machine stands still.
    pub is_kept: bool,
    /// The agent's last report whose transitions mattered, as it came: untrusted.
    pub report: Option<serde_json::Value>,
    pub reported_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// A node that there is, or was.
#[derive(Clone, Debug)]
pub struct FoundNode {
    pub id: NodeId,
    /// `worker-2`
    pub label: String,
    pub is_gone: bool,
    /// Since it was last started.
    pub has_reported: bool,
}

/// The cluster's node of this id, or the newest in the place of this label, gone or not.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    place: &str,
) -> Result<Option<FoundNode>, StoreError> {
    let row = sqlx::query!(
        r#"select n.id, n.role || '-' || n.ordinal as "label!", n.state = 'gone' as "is_gone!",
                  n.report is not null as "has_reported!"
           from nodes n join clusters c on c.id = n.cluster_id
           where c.tenant_id = $1 and n.cluster_id = $2 and (n.id::text = $3 or n.role || '-' || n.ordinal = $3)
           order by n.created_at desc limit 1"#,
        tenant.0,
        cluster.0,
        place,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| FoundNode {
        id: NodeId(row.id),
        label: row.label,
        is_gone: row.is_gone,
        has_reported: row.has_reported,
    }))
}

/// The cluster's nodes: scheduler, web, then workers in order.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Vec<ListedNode>, StoreError> {
    let rows = sqlx::query!(
        r#"select n.id, n.role, n.ordinal, n.queue, n.generation, n.address, n.report, n.reported_at, n.created_at,
                n.state = 'kept' as "is_kept!"
         from nodes n join clusters c on c.id = n.cluster_id
         where c.tenant_id = $1 and n.cluster_id = $2 and n.state <> 'gone'
         order by array_position(array['scheduler', 'web', 'worker'], n.role), n.ordinal"#,
        tenant.0,
        cluster.0,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let role = word("node role", &row.role)?;
            Ok(ListedNode {
                id: NodeId(row.id),
                role,
                ordinal: row.ordinal,
                queue: nodes::queue(role, row.queue)?,
                generation: Generation(row.generation),
                address: row.address,
                is_kept: row.is_kept,
                report: row.report,
                reported_at: row.reported_at,
                created_at: row.created_at,
            })
        })
        .collect()
}
