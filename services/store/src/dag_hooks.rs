//! Addresses that git servers tell of a push, each with the secret that calls are signed with.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use updraft_model::{ClusterId, DagFolder, DagHookId, TenantId};

use crate::StoreError;
use crate::error::one_row;
use crate::secrets::{MasterKey, SecretError};

const NAME: &str = "webhook";

#[derive(Clone, Debug)]
pub struct HookRecord {
    pub id: DagHookId,
    pub tenant: TenantId,
    pub cluster: ClusterId,
    pub folder: String,
    /// Grows with each new secret.
    pub turn: i32,
    pub created_at: DateTime<Utc>,
    pub called_at: Option<DateTime<Utc>>,
}

struct Row {
    id: uuid::Uuid,
    tenant_id: uuid::Uuid,
    cluster_id: i64,
    folder: String,
    turn: i32,
    created_at: DateTime<Utc>,
    called_at: Option<DateTime<Utc>>,
}

/// A hook for a folder of a cluster that was found for this tenant; the one there is has no secret any more. It gets one
/// with [`put_secret`].
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such cluster.
pub async fn put(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    fresh: DagHookId,
    folder: &DagFolder,
) -> Result<HookRecord, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"insert into dag_hooks as h (id, cluster_id, folder)
           select $3, c.id, $4 from clusters c where c.tenant_id = $1 and c.id = $2
           on conflict (cluster_id, folder) do update set turn = h.turn + 1
           returning id, $1::uuid as "tenant_id!", cluster_id, folder, turn, created_at, called_at"#,
        tenant.0,
        cluster.0,
        fresh.0,
        folder.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(HookRecord::from)
        .ok_or(StoreError::Missing { what: "cluster" })
}

/// The hooks of one cluster.
///
/// # Errors
/// When the database cannot be asked.
pub async fn list(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
) -> Result<Vec<HookRecord>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select h.id, c.tenant_id, h.cluster_id, h.folder, h.turn, h.created_at, h.called_at
         from dag_hooks h join clusters c on c.id = h.cluster_id
         where c.tenant_id = $1 and h.cluster_id = $2 order by h.folder",
        tenant.0,
        cluster.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(HookRecord::from).collect())
}

/// A hook whose tenant nobody has named: its id is in the address, its tenant comes out of the row.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_anywhere(
    connection: &mut PgConnection,
    hook: DagHookId,
) -> Result<Option<HookRecord>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select h.id, c.tenant_id, h.cluster_id, h.folder, h.turn, h.created_at, h.called_at
         from dag_hooks h join clusters c on c.id = h.cluster_id
         where h.id = $1 and c.deleted_at is null",
        hook.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(HookRecord::from))
}

/// # Errors
/// When the database cannot be asked.
pub async fn note_call(
    connection: &mut PgConnection,
    tenant: TenantId,
    hook: DagHookId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update dag_hooks h set called_at = $3 from clusters c
         where h.id = $2 and c.id = h.cluster_id and c.tenant_id = $1",
        tenant.0,
        hook.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// [`StoreError::Missing`] when the cluster has no such hook.
pub async fn remove(
    connection: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    hook: DagHookId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "delete from dag_hooks h using clusters c
         where h.id = $3 and h.cluster_id = $2 and c.id = h.cluster_id and c.tenant_id = $1",
        tenant.0,
        cluster.0,
        hook.0,
    )
    .execute(connection)
    .await?;
    one_row("hook", done.rows_affected())
}

/// Writes the secret of a hook that was just made, for its present turn.
///
/// # Errors
/// [`StoreError::Missing`] when the tenant has no such hook at this turn.
pub async fn put_secret(
    connection: &mut PgConnection,
    key: &MasterKey,
    hook: &HookRecord,
    secret: &SecretString,
) -> Result<(), SecretError> {
    let sealed = key.seal(&context(hook), NAME, secret)?;
    let done = sqlx::query!(
        "update dag_hooks h set secret_ciphertext = $4, secret_turn = h.turn from clusters c
         where h.id = $2 and h.turn = $3 and c.id = h.cluster_id and c.tenant_id = $1",
        hook.tenant.0,
        hook.id.0,
        hook.turn,
        sealed,
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(one_row("hook", done.rows_affected())?)
}

/// The secret of a hook; one of which none is written is as releases before this one derived it.
///
/// # Errors
/// When the database cannot be asked, or the secret does not open.
pub async fn secret(
    connection: &mut PgConnection,
    key: &MasterKey,
    hook: &HookRecord,
) -> Result<SecretString, SecretError> {
    let sealed = sqlx::query_scalar!(
        r#"select h.secret_ciphertext as "sealed!" from dag_hooks h join clusters c on c.id = h.cluster_id
         where c.tenant_id = $1 and h.id = $2 and h.secret_turn = $3 and h.secret_ciphertext is not null"#,
        hook.tenant.0,
        hook.id.0,
        hook.turn,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::from)?;
    match sealed {
        Some(sealed) => key.open(&context(hook), NAME, &sealed),
        None => Ok(derived(key, hook)),
    }
}

/// Hooks of all tenants whose secret is written down nowhere.
///
/// # Errors
/// When the database cannot be asked.
pub async fn without_secret(connection: &mut PgConnection) -> Result<Vec<HookRecord>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select h.id, c.tenant_id, h.cluster_id, h.folder, h.turn, h.created_at, h.called_at
         from dag_hooks h join clusters c on c.id = h.cluster_id
         where h.secret_turn is distinct from h.turn",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(HookRecord::from).collect())
}

/// As releases before this one made them.
#[must_use]
pub fn derived(key: &MasterKey, hook: &HookRecord) -> SecretString {
    key.derive(&format!("dag-hook/{}/{}", hook.id, hook.turn))
}

/// Bound to the turn too: an earlier secret put back is none.
fn context(hook: &HookRecord) -> String {
    format!("updraft/dag-hook/{}/{}", hook.id, hook.turn)
}

impl From<Row> for HookRecord {
    fn from(row: Row) -> Self {
        Self {
            id: DagHookId(row.id),
            tenant: TenantId(row.tenant_id),
            cluster: ClusterId(row.cluster_id),
            folder: row.folder,
            turn: row.turn,
            created_at: row.created_at,
            called_at: row.called_at,
        }
    }
}
