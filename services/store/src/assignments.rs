//! What a node's assignment is made of, read as one consistent picture.

use sqlx::PgConnection;
use updraft_model::{ClusterId, ClusterSpec, Generation, NodeId, NodeRole, ServiceWishes, TenantId};

use crate::StoreError;
use crate::error::word;

#[derive(Clone, Debug)]
pub struct AssignmentRows {
    pub tenant: TenantId,
    pub role: NodeRole,
    pub spec: ClusterSpec,
    pub generation: Generation,
    /// Asked-for restarts of the whole cluster so far.
    pub restart_nonce: i64,
    pub wishes: ServiceWishes,
    /// False when the node is to stop its services.
    pub run: bool,
    /// As the provider gave it.
    pub address: Option<String>,
    /// The cluster's launched nodes with their addresses, the node itself too.
    pub peers: Vec<(NodeRole, String)>,
}

/// `None` when the node is gone.
///
/// # Errors
/// When the database cannot be asked or holds what this version does not write.
pub async fn rows(connection: &mut PgConnection, node: NodeId) -> Result<Option<AssignmentRows>, StoreError> {
    let row = sqlx::query!(
        r#"select c.id as "cluster!", c.tenant_id, c.spec, c.generation, c.restart_nonce, c.service_wishes, n.role,
                  n.power = 'run' and n.state <> 'terminating' as "run!", n.address
           from nodes n join clusters c on c.id = n.cluster_id
           where n.id = $1 and n.state <> 'gone'"#,
        node.0,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let peers = sqlx::query!(
        r#"select role, address as "address!" from nodes
           where cluster_id = $1 and state = 'launched' and power = 'run' and address is not null
           order by role, ordinal"#,
        row.cluster,
    )
    .fetch_all(connection)
    .await?;
    let peers = peers
        .into_iter()
        .map(|peer| Ok((word("node role", &peer.role)?, peer.address)));
    Ok(Some(AssignmentRows {
        tenant: TenantId(row.tenant_id),
        role: word("node role", &row.role)?,
        spec: read("cluster spec", row.spec)?,
        generation: Generation(row.generation),
        restart_nonce: row.restart_nonce,
        wishes: read("service wishes", row.service_wishes)?,
        run: row.run,
        address: row.address,
        peers: peers.collect::<Result<_, StoreError>>()?,
    }))
}

/// The version last handed out of each live node's assignment.
///
/// # Errors
/// When the database cannot be asked.
pub async fn versions(
    connection: &mut PgConnection,
    cluster: ClusterId,
) -> Result<Vec<(NodeId, i64)>, StoreError> {
    let rows = sqlx::query!(
        "select id, assignment_version from nodes where cluster_id = $1 and state in ('intended', 'launched')",
        cluster.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (NodeId(row.id), row.assignment_version))
        .collect())
}

fn read<T: serde::de::DeserializeOwned>(
    what: &'static str,
    value: serde_json::Value,
) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|_| StoreError::Corrupt { what })
}
