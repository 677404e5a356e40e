//! Clusters as people ask for them. What the reconciler writes of them (phase, leases) is in `leases`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use updraft_authz::ClusterFacts;
use updraft_model::{
    ClusterId, ClusterName, ClusterRole, ClusterSize, ClusterSpec, Generation, OperationId, Phase, Power,
    QueueName, ServiceWishes, TenantId, UserId,
};

use crate::StoreError;
use crate::environment_changes::{self, EnvironmentChange};
use crate::error::{one_row, text, word};

/// A cluster as one person sees it.
#[derive(Clone, Debug)]
pub struct ClusterRecord {
    pub id: ClusterId,
    pub name: ClusterName,
    pub spec: ClusterSpec,
    pub generation: Generation,
    pub power: Power,
    pub service_wishes: ServiceWishes,
    pub phase: Phase,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// The role granted to the person who asks.
    pub granted: Option<ClusterRole>,
    pub nodes_ready: u32,
    /// Workers that a queue is to have now that scales by itself; one without a size has the least.
    pub sizes: HashMap<QueueName, u32>,
    /// By queue.
    pub workers_ready: HashMap<QueueName, u32>,
    /// As the scheduler node reported it.
    pub dag_version: Option<String>,
    /// How far the change of its environment is, if there ever was one.
    pub environment: Option<EnvironmentChange>,
    /// The operation under way.
    pub operation: Option<OperationId>,
    /// When it stops for being idle, as people were told.
    pub idle_stop: Option<DateTime<Utc>>,
}

/// What clusters of a tenant count towards its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub clusters: u32,
    /// Nodes of clusters that are asked to run.
    pub nodes: u32,
}

struct Row {
    id: i64,
    name: String,
    spec: Json<ClusterSpec>,
    generation: i64,
    power: String,
    service_wishes: Json<ServiceWishes>,
    phase: Json<Phase>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    granted: Option<String>,
    nodes_ready: i64,
    sizes: Option<Json<HashMap<QueueName, u32>>>,
    workers_ready: Option<Json<HashMap<QueueName, u32>>>,
    dag_version: Option<String>,
    operation: Option<uuid::Uuid>,
    idle_stop: Option<DateTime<Utc>>,
}

/// # Errors
/// [`StoreError::Conflict`] on `clusters_name` when the tenant has a cluster of that name.
pub async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    name: &ClusterName,
    spec: &ClusterSpec,
    power: Power,
) -> Result<ClusterId, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into clusters (tenant_id, name, spec, power) values ($1, $2, $3, $4) returning id",
        tenant.0,
        name.as_str(),
        Json(spec) as _,
        text("power", &power)?,
    )
    .fetch_one(connection)
    .await?;
    Ok(ClusterId(id))
}

/// A cluster that is not deleted, as `viewer` sees it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    viewer: UserId,
    cluster: ClusterId,
) -> Result<Option<ClusterRecord>, StoreError> {
    let mut rows = rows(connection, tenant, viewer, Some(&[cluster]), None, 1).await?;
    let Some(row) = rows.pop() else { return Ok(None) };
    let mut record = ClusterRecord::try_from(row)?;
    record.environment = environment_changes::find(connection, tenant, cluster).await?;
    Ok(Some(record))
}

/// Locks a cluster until the transaction ends; false when it is not there.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lock(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        "select id from clusters where tenant_id = $1 and id = $2 and deleted_at is null for update",
        tenant.0,
        cluster.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// The tenant's clusters by id, those after `after` first; of `only` these, if they are named.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    viewer: UserId,
    only: Option<&[ClusterId]>,
    after: Option<ClusterId>,
    limit: i64,
) -> Result<Vec<ClusterRecord>, StoreError> {
    let rows = rows(connection, tenant, viewer, only, after, limit).await?;
    let mut changes = environment_changes::unsettled(connection, tenant).await?;
    let record = |row| {
        let mut record = ClusterRecord::try_from(row)?;
        record.environment = changes.remove(&record.id);
        Ok(record)
    };
    rows.into_iter().map(record).collect()
}

async fn rows(
    connection: &mut PgConnection,
    tenant: TenantId,
    viewer: UserId,
    only: Option<&[ClusterId]>,
    after: Option<ClusterId>,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    let only: Option<Vec<i64>> = only.map(|ids| ids.iter().map(|id| id.0).collect());
    let rows = sqlx::query_as!(
        Row,
        r#"select c.id, c.name, c.spec as "spec: Json<ClusterSpec>", c.generation, c.power,
                  c.service_wishes as "service_wishes: Json<ServiceWishes>", c.phase as "phase: Json<Phase>",
                  c.created_at, c.updated_at, g.role as "granted?",
                  (select count(*) from nodes n where n.cluster_id = c.id and n.state = 'launched'
                      and n.power = 'run' and n.report ->> 'phase' = 'running') as "nodes_ready!",
                  (select jsonb_object_agg(s.queue, s.workers) from queue_sizes s
                      where s.tenant_id = c.tenant_id and s.cluster_id = c.id)
                      as "sizes: Json<HashMap<QueueName, u32>>",
                  (select jsonb_object_agg(w.queue, w.ready) from
                      (select coalesce(n.queue, 'default') as queue, count(*) as ready from nodes n
                       where n.cluster_id = c.id and n.role = 'worker' and n.state = 'launched' and n.power = 'run'
                         and n.report ->> 'phase' = 'running'
                       group by coalesce(n.queue, 'default')) w) as "workers_ready: Json<HashMap<QueueName, u32>>",
                  (select n.report ->> 'dag_version' from nodes n where n.cluster_id = c.id
                      and n.role = 'scheduler' and n.state <> 'gone') as dag_version,
                  (select o.id from operations o
                      where o.cluster_id = c.id and o.state = 'running') as "operation?",
                  (select i.stop_at from cluster_idleness i
                      where i.tenant_id = c.tenant_id and i.cluster_id = c.id) as idle_stop
           from clusters c
           left join cluster_grants g on g.cluster_id = c.id and g.user_id = $2
           where c.tenant_id = $1 and c.deleted_at is null
             and ($3::bigint[] is null or c.id = any($3)) and ($4::bigint is null or c.id > $4)
           order by c.id
           limit $5"#,
        tenant.0,
        viewer.0,
        only.as_deref(),
        after.map(|id| id.0),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Counts against the quota. Take [`crate::tenants::lock_quota`] first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn usage(
    connection: &mut PgConnection,
    tenant: TenantId,
    except: Option<ClusterId>,
) -> Result<Usage, StoreError> {
    // Clusters of one size come as one row: a tenant of thousands costs no more than one of ten.
    let sizes = sqlx::query!(
        r#"select count(*) as "clusters!",
                  case when c.power = 'running' then jsonb_strip_nulls(jsonb_build_object(
                      'workers', c.spec -> 'workers', 'worker_queues', c.spec -> 'worker_queues'
                  )) end as "running: Json<ClusterSize>"
           from clusters c
           where c.tenant_id = $1 and c.deleted_at is null and ($2::bigint is null or c.id <> $2)
           group by 2"#,
        tenant.0,
        except.map(|id| id.0),
    )
    .fetch_all(connection)
    .await?;
    let mut usage = Usage {
        clusters: 0,
        nodes: 0,
    };
    for row in sizes {
        let clusters = u32::try_from(row.clusters).unwrap_or(u32::MAX);
        let nodes = row.running.map_or(0, |size| size.0.most_nodes());
        usage.clusters = usage.clusters.saturating_add(clusters);
        usage.nodes = usage.nodes.saturating_add(clusters.saturating_mul(nodes));
    }
    Ok(usage)
}

/// What is asked of a cluster that is not deleted.
///
/// # Errors
/// When the database cannot be asked.
pub async fn spec(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Option<ClusterSpec>, StoreError> {
    let spec = sqlx::query_scalar!(
        r#"select spec as "spec: Json<ClusterSpec>" from clusters
           where tenant_id = $1 and id = $2 and deleted_at is null"#,
        tenant.0,
        cluster.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(spec.map(|spec| spec.0))
}

/// Writes a changed spec as a new generation.
///
/// # Errors
/// [`StoreError::Missing`] when the cluster is no longer at `from`.
pub async fn set_spec(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    from: Generation,
    spec: &ClusterSpec,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update clusters
         set spec = $4, generation = generation + 1, updated_at = now(), wake_at = now()
         where tenant_id = $1 and id = $2 and generation = $3 and deleted_at is null",
        tenant.0,
        cluster.0,
        from.0,
        Json(spec) as _,
    )
    .execute(connection)
    .await?;
    one_row("generation of this cluster", done.rows_affected())
}

/// A new generation of the same spec: something else that nodes are made of changed.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such cluster.
pub async fn begin_generation(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update clusters set generation = generation + 1, updated_at = now(), wake_at = now()
         where tenant_id = $1 and id = $2 and deleted_at is null",
        tenant.0,
        cluster.0,
    )
    .execute(connection)
    .await?;
    one_row("cluster", done.rows_affected())
}

/// Asks for a power as a new generation; `restart` also asks for a restart of all that runs.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such cluster.
pub async fn set_power(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    power: Power,
    restart: bool,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update clusters
         set power = $3, restart_nonce = restart_nonce + case when $4 then 1 else 0 end,
             generation = generation + 1, updated_at = now(), wake_at = now()
         where tenant_id = $1 and id = $2 and deleted_at is null",
        tenant.0,
        cluster.0,
        text("power", &power)?,
        restart,
    )
    .execute(connection)
    .await?;
    one_row("cluster", done.rows_affected())
}

/// Writes what was asked of single services. No new generation: the spec stays what it was.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such cluster.
pub async fn set_service_wishes(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    wishes: &ServiceWishes,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update clusters set service_wishes = $3, updated_at = now(), wake_at = now()
         where tenant_id = $1 and id = $2 and deleted_at is null",
        tenant.0,
        cluster.0,
        Json(wishes) as _,
    )
    .execute(connection)
    .await?;
    one_row("cluster", done.rows_affected())
}

// === impl ClusterRecord ===

impl ClusterRecord {
    #[must_use]
    pub fn facts(&self) -> ClusterFacts {
        ClusterFacts {
            id: self.id,
            tags: self.spec.tags.clone(),
        }
    }
}

impl TryFrom<Row> for ClusterRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: ClusterId(row.id),
            name: row
                .name
                .parse()
                .map_err(|_| StoreError::Corrupt { what: "cluster name" })?,
            spec: row.spec.0,
            generation: Generation(row.generation),
            power: word("power", &row.power)?,
            service_wishes: row.service_wishes.0,
            phase: row.phase.0,
            created_at: row.created_at,
            updated_at: row.updated_at,
            granted: row.granted.map(|role| word("cluster role", &role)).transpose()?,
            nodes_ready: u32::try_from(row.nodes_ready).unwrap_or(u32::MAX),
            sizes: row.sizes.map(|sizes| sizes.0).unwrap_or_default(),
            workers_ready: row.workers_ready.map(|ready| ready.0).unwrap_or_default(),
            dag_version: row.dag_version,
            environment: None,
            operation: row.operation.map(OperationId),
            idle_stop: row.idle_stop,
        })
    }
}
