//! Which agent each node runs, as it says itself.

use sqlx::PgConnection;
use updraft_model::{NodeId, Protocol};

use crate::StoreError;

/// Notes what an agent says that it is.
///
/// # Errors
/// When the database cannot be asked.
pub async fn record(
    connection: &mut PgConnection,
    node: NodeId,
    protocol: Protocol,
    release: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update nodes set agent_protocol = $2, agent_release = $3
         where id = $1 and (agent_protocol, agent_release) is distinct from ($2, $3)",
        node.0,
        number(protocol),
        release,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How many nodes have agents that this release does not understand, by what they speak. Also asked of a database that was
/// not migrated yet, which knows of none.
///
/// # Errors
/// When the database cannot be asked.
pub async fn too_far_apart(connection: &mut PgConnection) -> Result<Vec<(Protocol, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"select agent_protocol as "protocol!", count(*) as "nodes!" from nodes
           where state = 'launched' and agent_protocol is not null group by agent_protocol order by 1"#
    )
    .fetch_all(connection)
    .await;
    let rows = match rows {
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P01" | "42703")) => {
            Vec::new()
        }
        rows => rows?,
    };
    let spoken = rows
        .into_iter()
        .map(|row| (Protocol(row.protocol.unsigned_abs()), row.nodes));
    Ok(spoken.filter(|(protocol, _)| protocol.meet().is_err()).collect())
}

/// Whether the node was told to run this release, and may fetch it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn is_told(connection: &mut PgConnection, node: NodeId, release: &str) -> Result<bool, StoreError> {
    let told = sqlx::query_scalar!(
        r#"select exists (select from nodes where id = $1 and agent_wanted = $2) as "told!""#,
        node.0,
        release,
    );
    Ok(told.fetch_one(connection).await?)
}

fn number(protocol: Protocol) -> i32 {
    i32::try_from(protocol.0).unwrap_or(i32::MAX)
}
