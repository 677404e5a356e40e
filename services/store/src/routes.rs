//! What edges route and decide by, across all tenants: read as one consistent picture.

use indexmap::IndexMap;
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_authz::ClusterFacts;
use updraft_model::{ClusterId, ClusterName, ClusterRole, NodeId, Phase, SessionId, TenantId, UserId};

use crate::StoreError;
use crate::error::word;

/// One live cluster, as an edge needs it.
#[derive(Clone, Debug)]
pub struct RoutedCluster {
    pub facts: ClusterFacts,
    pub tenant: TenantId,
    pub name: ClusterName,
    pub runtime: String,
    pub phase: Phase,
    /// Addresses of its live web nodes, as the provider gave them.
    pub web_addresses: Vec<String>,
    /// The same nodes, in the same order.
    pub web_nodes: Vec<NodeId>,
    /// Whether its nodes are in a tenant's own account, where the tenant says which address is whose.
    pub in_tenants_account: bool,
    /// Whether the agent of one of them says that all its services are healthy.
    pub web_running: bool,
    /// Whether it stops when idle: then it matters when it was used.
    pub stops_when_idle: bool,
}

/// All of them, or those of `only` that live.
///
/// # Errors
/// When the database cannot be asked or holds what this version does not write.
pub async fn clusters(
    connection: &mut PgConnection,
    only: Option<&[ClusterId]>,
) -> Result<Vec<RoutedCluster>, StoreError> {
    let only = numbers(only);
    let rows = sqlx::query!(
        r#"select c.id, c.tenant_id, c.aws_account_id is not null as "in_tenants_account!", c.name, c.spec ->> 'runtime' as "runtime!", c.phase,
                  coalesce(c.spec -> 'tags', '{}') as "tags!: Json<IndexMap<String, String>>",
                  coalesce(array_agg(n.address order by n.ordinal) filter (where n.address is not null), '{}')
                      as "web_addresses!",
                  coalesce(array_agg(n.id order by n.ordinal) filter (where n.address is not null), '{}')
                      as "web_nodes!",
                  coalesce(bool_or(n.report ->> 'phase' = 'running'), false) as "web_running!",
                  c.spec ? 'stop_when_idle' as "stops_when_idle!"
           from clusters c
           left join nodes n on n.cluster_id = c.id and n.role = 'web' and n.state = 'launched' and n.power = 'run'
           where c.deleted_at is null and ($1::bigint[] is null or c.id = any($1))
           group by c.id"#,
        only.as_deref(),
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(RoutedCluster {
                facts: ClusterFacts {
                    id: ClusterId(row.id),
                    tags: row.tags.0,
                },
                tenant: TenantId(row.tenant_id),
                name: row
                    .name
                    .parse()
                    .map_err(|_| StoreError::Corrupt { what: "cluster name" })?,
                runtime: row.runtime,
                phase: serde_json::from_value(row.phase).map_err(|_| StoreError::Corrupt {
                    what: "cluster phase",
                })?,
                web_addresses: row.web_addresses,
                web_nodes: row.web_nodes.into_iter().map(NodeId).collect(),
                web_running: row.web_running,
                in_tenants_account: row.in_tenants_account,
                stops_when_idle: row.stops_when_idle,
            })
        })
        .collect()
}

/// Of all clusters, or of those of `only`.
///
/// # Errors
/// When the database cannot be asked.
pub async fn grants(
    connection: &mut PgConnection,
    only: Option<&[ClusterId]>,
) -> Result<Vec<(ClusterId, UserId, ClusterRole)>, StoreError> {
    let only = numbers(only);
    let rows = sqlx::query!(
        "select cluster_id, user_id, role from cluster_grants where $1::bigint[] is null or cluster_id = any($1)",
        only.as_deref(),
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok((
                ClusterId(row.cluster_id),
                UserId(row.user_id),
                word("cluster role", &row.role)?,
            ))
        })
        .collect()
}

/// Sessions ended before their expiry: all, or those of `only`.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoked_sessions(
    connection: &mut PgConnection,
    only: Option<&[SessionId]>,
) -> Result<Vec<SessionId>, StoreError> {
    let only: Option<Vec<_>> = only.map(|ids| ids.iter().map(|id| id.0).collect());
    let ids = sqlx::query_scalar!(
        "select id from sessions
         where revoked_at is not null and expires_at > now() and ($1::uuid[] is null or id = any($1))",
        only.as_deref(),
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(SessionId).collect())
}

fn numbers(only: Option<&[ClusterId]>) -> Option<Vec<i64>> {
    only.map(|ids| ids.iter().map(|id| id.0).collect())
}
