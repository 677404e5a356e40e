//! What changed of that which control processes keep in memory, in the order in which it became visible.
//!
//! Nothing is lost between two reads: each goes on from the oldest transaction that was still open at the one before, so that
//! some changes are told twice and none never. Whoever was away for too long, or meets a database that was
//! restored, reads everything instead.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use updraft_model::{ClusterId, NodeId, SessionId, TenantId};
use uuid::Uuid;

use crate::StoreError;

/// More than this is quicker read as a whole.
const MOST: i64 = 2_000;
/// Who read last so long ago reads everything: well before rows go ([`forget_old`]).
const FRESH: TimeDelta = TimeDelta::minutes(30);

/// Up to where changes were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    oldest_open: u64,
    at: DateTime<Utc>,
}

/// Of what there is something new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Their routes or grants.
    pub clusters: BTreeSet<ClusterId>,
    /// Their people, groups, rules or tokens.
    pub rights: BTreeSet<TenantId>,
    /// They ended before their time.
    pub sessions: BTreeSet<SessionId>,
    /// An identity of theirs is no longer good.
    pub identities: BTreeSet<NodeId>,
}

/// What a reader goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Edges,
    Identities,
}

/// Up to here nothing needs to be told to somebody who reads everything in the same transaction, which has to be one that
/// sees one moment ([`crate::Store::snapshot`]).
///
/// # Errors
/// When the database cannot be asked.
pub async fn mark(connection: &mut PgConnection) -> Result<Mark, StoreError> {
    let row = sqlx::query!(
        r#"select pg_snapshot_xmin(pg_current_snapshot())::text as "oldest_open!", now() as "at!""#
    )
    .fetch_one(connection)
    .await?;
    Ok(Mark {
        oldest_open: number(&row.oldest_open)?,
        at: row.at,
    })
}

/// What came since `mark`, seen from `now`, the mark of the same transaction. None: read everything.
///
/// # Errors
/// When the database cannot be asked.
pub async fn between(
    connection: &mut PgConnection,
    mark: Mark,
    now: Mark,
    interest: Interest,
) -> Result<Option<Changes>, StoreError> {
    if now.oldest_open < mark.oldest_open || now.at - mark.at > FRESH {
        return Ok(None);
    }
    let rows = sqlx::query!(
        "select what, id from changes where transaction >= $1::text::xid8 and (what = 'node') = $2 limit $3",
        mark.oldest_open.to_string(),
        interest == Interest::Identities,
        MOST + 1,
    )
    .fetch_all(connection)
    .await?;
    if rows.len() > usize::try_from(MOST).unwrap_or(usize::MAX) {
        return Ok(None);
    }
    let mut changes = Changes::default();
    for row in rows {
        changes.add(&row.what, &row.id)?;
    }
    Ok(Some(changes))
}

/// Forgets what every reader has read, or is too late for.
///
/// # Errors
/// When the database cannot be asked.
pub async fn forget_old(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("delete from changes where at < now() - interval '1 hour'")
        .execute(connection)
        .await?;
    Ok(())
}

// === impl Changes ===

impl Changes {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, what: &str, id: &str) -> Result<(), StoreError> {
        match what {
            "cluster" => drop(self.clusters.insert(ClusterId(number(id)?))),
            "rights" => drop(self.rights.insert(TenantId(uuid(id)?))),
            "session" => drop(self.sessions.insert(SessionId(uuid(id)?))),
            "node" => drop(self.identities.insert(NodeId(uuid(id)?))),
            _ => return Err(CORRUPT),
        }
        Ok(())
    }
}

const CORRUPT: StoreError = StoreError::Corrupt { what: "change" };

fn number<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| CORRUPT)
}

fn uuid(text: &str) -> Result<Uuid, StoreError> {
    number(text)
}
