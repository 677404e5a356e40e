//! What a node's assignment is made of, read as one consistent picture.

use sqlx::PgConnection;
use updraft_model::{
    ClusterId, ClusterSpec, Generation, NodeId, NodeRole, Power, QueueName, ServiceWishes, TenantId,
};

use crate::StoreError;
use crate::environment_changes::{self, EnvironmentChange};
use crate::error::word;
use crate::key_turns::{self, KeyTurn};
use crate::nodes;

#[derive(Clone, Debug)]
pub struct AssignmentRows {
    pub tenant: TenantId,
    pub role: NodeRole,
    /// Of the nodes of its role.
    pub ordinal: u32,
    /// Whose tasks it takes, if it is a worker.
    pub queue: Option<QueueName>,
    pub spec: ClusterSpec,
    /// What was asked for; nodes may be given less of it for now: see `change`.
    pub change: Option<EnvironmentChange>,
    /// How far the last turn of the cluster's keys is.
    pub keys: Option<KeyTurn>,
    pub generation: Generation,
    /// Asked-for restarts of the whole cluster so far.
    pub restart_nonce: i64,
    pub wishes: ServiceWishes,
    /// Asked-for looks at the DAG sources so far.
    pub dag_sync_nonce: i64,
    /// The DAG version somebody rolled back to.
    pub dag_pin: Option<String>,
    /// False when the node is to stop its services.
    pub run: bool,
    /// What is wanted of its cluster.
    pub power: Power,
    /// Why the node was given up, if it was.
    pub loss: Option<String>,
    /// As the provider gave it.
    pub address: Option<String>,
    /// The cluster's launched nodes with their addresses, the node itself too.
    pub peers: Vec<(NodeRole, String)>,
    /// The release of the agent that it is to run, and which attempt at it that is; none: whichever it runs.
    pub agent: Option<(String, i64)>,
}

/// `None` when the node is gone.
///
/// # Errors
/// When the database cannot be asked or holds what this version does not write.
pub async fn rows(connection: &mut PgConnection, node: NodeId) -> Result<Option<AssignmentRows>, StoreError> {
    let row = sqlx::query!(
        r#"select c.id as "cluster!", c.tenant_id, c.spec, c.generation, c.restart_nonce, c.service_wishes,
                  c.dag_sync_nonce, c.dag_pin, n.role, n.ordinal, n.queue,
                  n.power = 'run' and n.state <> 'terminating' as "run!",
                  c.power as "cluster_power!", n.loss, n.address,
                  r.release as "agent?", r.attempt as "agent_attempt?"
           from nodes n join clusters c on c.id = n.cluster_id
               left join agent_rollouts r on r.release = n.agent_wanted and r.stopped_at is null
                   and not exists (select from agent_failures f where f.release = r.release and f.attempt = r.attempt
                       and f.cluster_id = n.cluster_id)
           where n.id = $1 and n.state <> 'gone'"#,
        node.0,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (tenant, cluster) = (TenantId(row.tenant_id), ClusterId(row.cluster));
    let change = environment_changes::find(&mut *connection, tenant, cluster).await?;
    let keys = key_turns::find(&mut *connection, tenant, cluster).await?;
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
    let role = word("node role", &row.role)?;
    Ok(Some(AssignmentRows {
        tenant,
        power: word("power", &row.cluster_power)?,
        loss: row.loss,
        change,
        keys,
        role,
        queue: nodes::queue(role, row.queue)?,
        ordinal: row.ordinal.unsigned_abs(),
        spec: read("cluster spec", row.spec)?,
        generation: Generation(row.generation),
        restart_nonce: row.restart_nonce,
        wishes: read("service wishes", row.service_wishes)?,
        dag_sync_nonce: row.dag_sync_nonce,
        dag_pin: row.dag_pin,
        run: row.run,
        address: row.address,
        peers: peers.collect::<Result<_, StoreError>>()?,
        agent: row.agent.zip(row.agent_attempt),
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

// === impl AssignmentRows ===

impl AssignmentRows {
    /// The spec that this node is to be made of now.
    #[must_use]
    pub fn given(&self) -> &ClusterSpec {
        match &self.change {
            Some(change) => change.given(&self.spec, self.role),
            None => &self.spec,
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(
    what: &'static str,
    value: serde_json::Value,
) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|_| StoreError::Corrupt { what })
}
