//! How far the audit log was copied elsewhere, and how far it may be copied now.
//!
//! Ids are given before a transaction commits: when line 7 can be read, line 6 may be still to come. A copy that went on
//! from 7 would lose it. So before anything is copied there is a [`Cut`]: the newest line, and who was writing then.
//! Whoever has an older line still to commit was writing (holds the table's lock that an insert takes before the id);
//! when they are all done, everything up to the cut can be read, for ever the same.

use std::time::Duration;

use sqlx::PgConnection;
use updraft_model::{AuditId, TenantId};

use crate::StoreError;
use crate::error::one_row;
use crate::leases::interval;

/// Up to where the log is complete once those who wrote then are done.
#[derive(Clone, Debug)]
pub struct Cut {
    pub up_to: AuditId,
    writers: Vec<String>,
}

/// Lines of one tenant that are copied together: those after `after` up to `up_to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// None: nobody's in particular.
    pub tenant: Option<TenantId>,
    pub after: AuditId,
    pub up_to: AuditId,
}

/// # Errors
/// When the database cannot be asked.
pub async fn cut(connection: &mut PgConnection) -> Result<Cut, StoreError> {
    let newest = sqlx::query_scalar!(r#"select coalesce(max(id), 0) as "id!" from audit_log"#)
        .fetch_one(&mut *connection)
        .await?;
    // After the newest id was read, never before: who takes a lower one has the lock by now.
    let writers = writers(connection).await?;
    Ok(Cut {
        up_to: AuditId(newest),
        writers,
    })
}

/// Whether everything up to the cut can be read.
///
/// # Errors
/// When the database cannot be asked.
pub async fn is_complete(connection: &mut PgConnection, cut: &Cut) -> Result<bool, StoreError> {
    if cut.writers.is_empty() {
        return Ok(true);
    }
    let now = writers(connection).await?;
    Ok(!cut.writers.iter().any(|writer| now.contains(writer)))
}

/// Transactions that have written to the log, or are about to.
async fn writers(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let writers = sqlx::query_scalar!(
        r#"select virtualtransaction as "writer!" from pg_locks
           where locktype = 'relation' and relation = 'audit_log'::regclass and mode = 'RowExclusiveLock'
             and database = (select oid from pg_database where datname = current_database())"#
    )
    .fetch_all(connection)
    .await?;
    Ok(writers)
}

/// Everybody who has a line in the log; the last is nobody in particular. As quick as there are few of them, however
/// many lines there are.
///
/// # Errors
/// When the database cannot be asked.
pub async fn tenants(connection: &mut PgConnection) -> Result<Vec<Option<TenantId>>, StoreError> {
    let tenants = sqlx::query_scalar!(
        "with recursive seen as (
             (select tenant_id from audit_log where tenant_id is not null order by tenant_id limit 1)
             union all
             select (select l.tenant_id from audit_log l where l.tenant_id > seen.tenant_id
                     order by l.tenant_id limit 1)
             from seen where seen.tenant_id is not null
         )
         select tenant_id from seen"
    )
    .fetch_all(connection)
    .await?;
    let known = tenants.into_iter().flatten().map(|tenant| Some(TenantId(tenant)));
    Ok(known.chain([None]).collect())
}

/// Claims what is to be copied next, at most `limit` lines, for a while. What was begun and not finished is claimed
/// again as it was. None: nothing is new, or another process is at it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn claim(
    tx: &mut PgConnection,
    tenant: Option<TenantId>,
    cut: &Cut,
    limit: i64,
    lasts: Duration,
) -> Result<Option<Batch>, StoreError> {
    let id = tenant.map(|tenant| tenant.0);
    sqlx::query!(
        "insert into audit_exports (tenant_id) values ($1) on conflict (tenant_id) do nothing",
        id
    )
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query!(
        r#"select last_id, sending_id, coalesce(lease_until > now(), false) as "held!"
           from audit_exports where tenant_id is not distinct from $1 for update"#,
        id
    )
    .fetch_one(&mut *tx)
    .await?;
    if row.held {
        return Ok(None);
    }
    let newest = sqlx::query_scalar!(
        r#"select max(id) as "id?"
           from (select id from audit_log
                 where (tenant_id = $1 or $1::uuid is null and tenant_id is null) and id > $2 and id <= $3
                 order by id limit $4) as next"#,
        id,
        row.last_id,
        cut.up_to.0,
        limit,
    )
    .fetch_one(&mut *tx)
    .await?;
    let Some(up_to) = row.sending_id.or(newest) else {
        return Ok(None);
    };
    let done = sqlx::query!(
        "update audit_exports set sending_id = $2, lease_until = now() + $3 where tenant_id is not distinct from $1",
        id,
        up_to,
        interval(lasts),
    )
    .execute(tx)
    .await?;
    one_row("audit export", done.rows_affected())?;
    Ok(Some(Batch {
        tenant,
        after: AuditId(row.last_id),
        up_to: AuditId(up_to),
    }))
}

/// The batch is there. Nothing, when another process has said so already.
///
/// # Errors
/// When the database cannot be asked.
pub async fn settle(connection: &mut PgConnection, batch: Batch) -> Result<(), StoreError> {
    sqlx::query!(
        "update audit_exports
         set last_id = $3, sending_id = null, lease_until = null, exported_at = now()
         where tenant_id is not distinct from $1 and last_id = $2 and sending_id = $3",
        batch.tenant.map(|tenant| tenant.0),
        batch.after.0,
        batch.up_to.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The batch could not be sent: whoever comes next may try again at once.
///
/// # Errors
/// When the database cannot be asked.
pub async fn release(connection: &mut PgConnection, batch: Batch) -> Result<(), StoreError> {
    sqlx::query!(
        "update audit_exports set lease_until = null
         where tenant_id is not distinct from $1 and last_id = $2 and sending_id = $3",
        batch.tenant.map(|tenant| tenant.0),
        batch.after.0,
        batch.up_to.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}
