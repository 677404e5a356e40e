//! How another agent reaches nodes that run: some at a time, of each cluster one, and of none in which one failed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use updraft_model::{ClusterId, NodeId, TenantId};
use uuid::Uuid;

use crate::StoreError;
use crate::error::one_row;

/// One release's way to all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRollout {
    pub release: String,
    pub attempt: i64,
    pub stopped: Option<Stopped>,
}

/// Why nobody else is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    pub at: DateTime<Utc>,
    pub node: Option<NodeId>,
    pub why: String,
}

/// A node that was told, and has not said that it runs what it was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay {
    pub node: NodeId,
    pub cluster: ClusterId,
    pub told_for: Duration,
}

/// A cluster with a node that could not be given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub tenant: TenantId,
    pub cluster: ClusterId,
    pub node: NodeId,
    pub why: String,
}

/// How many nodes run a release, and how many others there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub done: i64,
    pub others: i64,
    /// Of the others: of before agents said what they are. They come with new nodes.
    pub silent: i64,
}

/// Notes which agent this process of control would have nodes run.
///
/// # Errors
/// When the database cannot be asked.
pub async fn name(
    connection: &mut PgConnection,
    control: Uuid,
    release: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update controls set agent_release = $2 where id = $1 and agent_release is distinct from $2",
        control,
        release,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The one that all processes of control that live would have nodes run; none while they do not agree.
///
/// # Errors
/// When the database cannot be asked.
pub async fn agreed(connection: &mut PgConnection) -> Result<Option<String>, StoreError> {
    let release = sqlx::query_scalar!(
        "select min(agent_release) from controls where seen_at > now() - interval '1 minute'
         having count(agent_release) = count(*) and min(agent_release) = max(agent_release)"
    );
    Ok(release.fetch_optional(connection).await?.flatten())
}

/// The roll-out of a release, begun if it is new, for this transaction alone.
///
/// # Errors
/// When the database cannot be asked.
pub async fn hold(connection: &mut PgConnection, release: &str) -> Result<AgentRollout, StoreError> {
    sqlx::query!(
        "insert into agent_rollouts (release) values ($1) on conflict do nothing",
        release
    )
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query!(
        "select attempt, stopped_at, node_id, why from agent_rollouts where release = $1 for update",
        release
    )
    .fetch_one(connection)
    .await?;
    Ok(AgentRollout {
        release: release.to_owned(),
        attempt: row.attempt,
        stopped: row.stopped_at.map(|at| Stopped {
            at,
            node: row.node_id.map(NodeId),
            why: row.why.unwrap_or_default(),
        }),
    })
}

/// Nodes that were told and run something else; none of clusters in which one failed.
///
/// # Errors
/// When the database cannot be asked.
pub async fn under_way(
    connection: &mut PgConnection,
    (release, attempt): (&str, i64),
) -> Result<Vec<UnderWay>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, cluster_id, extract(epoch from now() - agent_told_at)::float8 as "told_for!" from nodes
           where agent_wanted = $1 and state = 'launched' and power = 'run'
               and (agent_release < $1 or agent_release > $1)
               and not exists (
                   select from agent_failures f
                   where f.release = $1 and f.attempt = $2 and f.cluster_id = nodes.cluster_id)"#,
        release,
        attempt,
    )
    .fetch_all(connection)
    .await?;
    let under_way = rows.into_iter().map(|row| UnderWay {
        node: NodeId(row.id),
        cluster: ClusterId(row.cluster_id),
        told_for: Duration::try_from_secs_f64(row.told_for).unwrap_or_default(),
    });
    Ok(under_way.collect())
}

/// # Errors
/// When the database cannot be asked.
pub async fn progress(connection: &mut PgConnection, release: &str) -> Result<Progress, StoreError> {
    let row = sqlx::query!(
        r#"select count(*) filter (where agent_release = $1) as "done!",
                  count(*) filter (where agent_release is distinct from $1) as "others!",
                  count(*) filter (where agent_release is null) as "silent!"
           from nodes where state = 'launched'"#,
        release,
    )
    .fetch_one(connection)
    .await?;
    Ok(Progress {
        done: row.done,
        others: row.others,
        silent: row.silent,
    })
}

/// Nodes to be told next, of each cluster one, or of this cluster alone: of those that run undisturbed and have no other node under way.
///
/// # Errors
/// When the database cannot be asked.
pub async fn next(
    connection: &mut PgConnection,
    (release, attempt): (&str, i64),
    most: i64,
    only: Option<ClusterId>,
) -> Result<Vec<(NodeId, ClusterId)>, StoreError> {
    let rows = sqlx::query!(
        r#"select distinct on (n.cluster_id) n.id, n.cluster_id
           from nodes n join clusters c on c.id = n.cluster_id
           where n.state = 'launched' and n.power = 'run' and (n.agent_release < $1 or n.agent_release > $1)
               and n.agent_wanted is distinct from $1
               and c.power = 'running' and c.phase->>'state' = 'running' and c.deleted_at is null
               and not exists (select from operations o where o.cluster_id = c.id and o.state = 'running')
               and not exists (
                   select from nodes other
                   where other.cluster_id = n.cluster_id and other.agent_wanted = $1 and other.state = 'launched'
                       and other.agent_release is distinct from $1)
               and not exists (
                   select from agent_failures f
                   where f.release = $1 and f.attempt = $3 and f.cluster_id = n.cluster_id)
               and ($4::bigint is null or n.cluster_id = $4)
           order by n.cluster_id, n.id
           limit $2"#,
        release,
        most,
        attempt,
        only.map(|cluster| cluster.0),
    )
    .fetch_all(connection)
    .await?;
    let next = rows
        .into_iter()
        .map(|row| (NodeId(row.id), ClusterId(row.cluster_id)));
    Ok(next.collect())
}

/// Tells these nodes, with what their assignments are made of next.
///
/// # Errors
/// When the database cannot be asked.
pub async fn tell(connection: &mut PgConnection, release: &str, nodes: &[NodeId]) -> Result<(), StoreError> {
    let ids: Vec<_> = nodes.iter().map(|node| node.0).collect();
    sqlx::query!(
        "update nodes set agent_wanted = $1, agent_told_at = now() where id = any($2) and state = 'launched'",
        release,
        &ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a node which was told could not be given it: its cluster's nodes are left as they are. False: its cluster was noted
/// before, or this is about another attempt, or a stopped one, or nobody told that node.
///
/// # Errors
/// When the database cannot be asked.
pub async fn note_failure(
    connection: &mut PgConnection,
    (release, attempt): (&str, i64),
    node: NodeId,
    why: &str,
) -> Result<bool, StoreError> {
    // One after the other: whoever comes second sees the first one's.
    let held = sqlx::query_scalar!(
        "select attempt from agent_rollouts where release = $1 and attempt = $2 and stopped_at is null for update",
        release,
        attempt,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if held.is_none() {
        return Ok(false);
    }
    let done = sqlx::query!(
        "insert into agent_failures (release, attempt, cluster_id, tenant_id, node_id, why)
         select $1, $2, c.id, c.tenant_id, n.id, $4
         from nodes n join clusters c on c.id = n.cluster_id
         where n.id = $3 and n.agent_wanted = $1
         on conflict do nothing",
        release,
        attempt,
        node.0,
        why,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Clusters with a node that could not be given it, in the order in which they failed.
///
/// # Errors
/// When the database cannot be asked.
pub async fn failures(
    connection: &mut PgConnection,
    (release, attempt): (&str, i64),
) -> Result<Vec<Failed>, StoreError> {
    let rows = sqlx::query!(
        "select tenant_id, cluster_id, node_id, why from agent_failures
         where release = $1 and attempt = $2 order by failed_at, cluster_id",
        release,
        attempt,
    )
    .fetch_all(connection)
    .await?;
    let failed = rows.into_iter().map(|row| Failed {
        tenant: TenantId(row.tenant_id),
        cluster: ClusterId(row.cluster_id),
        node: NodeId(row.node_id),
        why: row.why,
    });
    Ok(failed.collect())
}

/// How many tenants have nodes.
///
/// # Errors
/// When the database cannot be asked.
pub async fn tenants(connection: &mut PgConnection) -> Result<usize, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(distinct c.tenant_id) as "count!" from nodes n join clusters c on c.id = n.cluster_id
           where n.state = 'launched'"#
    )
    .fetch_one(connection)
    .await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Stops a roll-out for the sake of a node. False: it was stopped before, or this is about another attempt.
///
/// # Errors
/// When the database cannot be asked.
pub async fn stop(
    connection: &mut PgConnection,
    (release, attempt): (&str, i64),
    node: NodeId,
    why: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update agent_rollouts set stopped_at = now(), node_id = $3, why = $4
         where release = $1 and attempt = $2 and stopped_at is null",
        release,
        attempt,
        node.0,
        why,
    )
    .execute(connection)
    .await?;
    Ok(one_row("roll-out", done.rows_affected()).is_ok())
}

/// Goes on with a roll-out that was stopped, or that left clusters: nodes that failed try again. False: there are none.
///
/// # Errors
/// When the database cannot be asked.
pub async fn resume(connection: &mut PgConnection, release: &str) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update agent_rollouts set attempt = attempt + 1, stopped_at = null, node_id = null, why = null
         where release = $1 and (stopped_at is not null
             or exists (select from agent_failures f where f.release = $1 and f.attempt = agent_rollouts.attempt))",
        release,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update nodes set agent_wanted = null, agent_told_at = null
         where agent_wanted = $1 and agent_release is distinct from $1",
        release,
    )
    .execute(connection)
    .await?;
    Ok(one_row("roll-out", done.rows_affected()).is_ok())
}
