//! Who an agent is, and which version of its assignment it was given.

use sqlx::PgConnection;
use updraft_model::{ClusterId, NodeId, NodeRole};

use crate::StoreError;
use crate::error::one_row;

/// A node that proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    pub node: NodeId,
    pub cluster: ClusterId,
    pub role: NodeRole,
}

/// What a node's single-use bootstrap token is derived for.
#[must_use]
pub fn bootstrap_context(node: NodeId) -> String {
    format!("bootstrap/{node}")
}

/// Trades a bootstrap token for an identity. The token is used up when the identity is first used: an agent that died
/// between the answer and its disk may ask again, and what it was given before is worth nothing from then on. Where an
/// `instance` is named, it has to be the node's own; none until the provider's answer is recorded: ask again.
///
/// # Errors
/// [`StoreError::Missing`] when the node is gone or another instance, or the token is wrong, used or expired.
pub async fn redeem_bootstrap(
    connection: &mut PgConnection,
    node: NodeId,
    bootstrap_hash: &[u8],
    identity_hash: &[u8],
    instance: Option<&str>,
) -> Result<Option<NodeIdentity>, StoreError> {
    let row = sqlx::query!(
        "update nodes set identity_hash = $3
         where id = $1 and bootstrap_hash = $2 and bootstrap_expires_at > now() and state in ('intended', 'launched')
             and ($4::text is null or split_part(provider_id, '/', -1) = $4)
         returning id, cluster_id, role",
        node.0,
        bootstrap_hash,
        identity_hash,
        instance,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else {
        return match instance.is_some() && is_unanswered(connection, node, bootstrap_hash).await? {
            true => Ok(None),
            false => Err(StoreError::Missing {
                what: "bootstrap token",
            }),
        };
    };
    identity(NodeId(row.id), ClusterId(row.cluster_id), &row.role).map(Some)
}

/// The token is right, but the provider's answer to the launch is not recorded yet: the instance was faster.
async fn is_unanswered(
    connection: &mut PgConnection,
    node: NodeId,
    bootstrap_hash: &[u8],
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"select exists (
               select from nodes
               where id = $1 and bootstrap_hash = $2 and bootstrap_expires_at > now() and state = 'intended'
                   and provider_id is null) as "found!""#,
        node.0,
        bootstrap_hash,
    );
    Ok(found.fetch_one(connection).await?)
}

/// Of the token that a node's agent introduces itself with; none once it has.
///
/// # Errors
/// When the database cannot be asked.
pub async fn bootstrap_hash(
    connection: &mut PgConnection,
    node: NodeId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let hash = sqlx::query_scalar!("select bootstrap_hash from nodes where id = $1", node.0)
        .fetch_optional(connection)
        .await?;
    Ok(hash.flatten())
}

/// The node with this identity token, unless it is gone. Its first use ends the bootstrap token's.
///
/// # Errors
/// When the database cannot be asked.
pub async fn by_identity(
    connection: &mut PgConnection,
    identity_hash: &[u8],
) -> Result<Option<NodeIdentity>, StoreError> {
    let row = sqlx::query!(
        r#"select id, cluster_id, role, bootstrap_hash is not null as "is_first!"
           from nodes where identity_hash = $1 and state <> 'gone'"#,
        identity_hash,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if row.as_ref().is_some_and(|row| row.is_first) {
        sqlx::query!(
            "update nodes set bootstrap_hash = null where identity_hash = $1",
            identity_hash
        )
        .execute(connection)
        .await?;
    }
    row.map(|row| identity(NodeId(row.id), ClusterId(row.cluster_id), &row.role))
        .transpose()
}

/// All nodes that proved themselves and have used their identity, each with the SHA-256 of its token.
///
/// # Errors
/// When the database cannot be asked.
pub async fn all(connection: &mut PgConnection) -> Result<Vec<(Vec<u8>, NodeIdentity)>, StoreError> {
    let rows = sqlx::query!(
        r#"select identity_hash as "identity_hash!", id, cluster_id, role
           from nodes where identity_hash is not null and bootstrap_hash is null and state <> 'gone'"#,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let node = identity(NodeId(row.id), ClusterId(row.cluster_id), &row.role)?;
            Ok((row.identity_hash, node))
        })
        .collect()
}

/// The number of the assignment with this digest: as before when it is the one handed out last, else the next.
///
/// # Errors
/// [`StoreError::Missing`] when the node's row is gone.
pub async fn assignment_version(
    connection: &mut PgConnection,
    node: NodeId,
    digest: &[u8],
) -> Result<i64, StoreError> {
    // Nearly always, and nothing has to be written.
    let same = sqlx::query_scalar!(
        "select assignment_version from nodes where id = $1 and assignment_digest = $2",
        node.0,
        digest,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(version) = same {
        return Ok(version);
    }
    let version = sqlx::query_scalar!(
        "update nodes
         set assignment_version = assignment_version + (assignment_digest is distinct from $2)::int,
             assignment_digest = $2
         where id = $1
         returning assignment_version",
        node.0,
        digest,
    )
    .fetch_optional(connection)
    .await?;
    version.ok_or(StoreError::Missing { what: "node" })
}

/// Counts an agent's event once: true when it was not yet seen.
///
/// # Errors
/// When the database cannot be asked.
pub async fn count_event(
    connection: &mut PgConnection,
    node: NodeId,
    sequence: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update nodes set last_event_sequence = $2 where id = $1 and last_event_sequence < $2",
        node.0,
        sequence,
    )
    .execute(connection)
    .await?;
    Ok(one_row("event", done.rows_affected()).is_ok())
}

fn identity(node: NodeId, cluster: ClusterId, role: &str) -> Result<NodeIdentity, StoreError> {
    let role = role
        .parse()
        .map_err(|_| StoreError::Corrupt { what: "node role" })?;
    Ok(NodeIdentity { node, cluster, role })
}
