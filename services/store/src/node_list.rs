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
    /// The agent's last report whose transitions mattered, as it came: untrusted.
    pub report: Option<serde_json::Value>,
    pub reported_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
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
        "select n.id, n.role, n.ordinal, n.queue, n.generation, n.address, n.report, n.reported_at, n.created_at
         from nodes n join clusters c on c.id = n.cluster_id
         where c.tenant_id = $1 and n.cluster_id = $2 and n.state <> 'gone'
         order by array_position(array['scheduler', 'web', 'worker'], n.role), n.ordinal",
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
                report: row.report,
                reported_at: row.reported_at,
                created_at: row.created_at,
            })
        })
        .collect()
}
