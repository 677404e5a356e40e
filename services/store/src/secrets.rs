//! Secrets at rest: AES-256-GCM under the master key, bound to where they belong.
//!
//! The additional data of each ciphertext names its cluster and its own name, so that a row copied elsewhere does not
//! open. Nothing here logs, prints or returns a secret other than as [`SecretString`].

use chrono::{DateTime, Utc};
use rand::RngCore as _;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use sqlx::PgConnection;
use thiserror::Error;
use updraft_model::ClusterId;

use crate::StoreError;

pub use crate::master_key::{KeyId, MasterKey, MasterKeyError, Sealing};

/// A secret that does not open: another master key, or a row that was moved or damaged.
#[derive(Debug, Error)]
pub enum SecretError {
    #[error("the secret `{name}` does not open under this master key")]
    Sealed { name: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key of the installation itself.
#[derive(Debug)]
pub struct ControlKey {
    pub name: String,
    pub secret: SecretString,
    pub created_at: DateTime<Utc>,
    /// Since when it is used; where keys are used from when they are made, none.
    pub signs_since: Option<DateTime<Utc>>,
    /// Another is wanted in its place.
    pub is_asked: bool,
    /// It may be known to others.
    pub is_distrusted: bool,
}

/// # Errors
/// When the database cannot be asked, or the secret does not open.
pub async fn get(
    connection: &mut PgConnection,
    key: &MasterKey,
    cluster: ClusterId,
    name: &str,
) -> Result<Option<SecretString>, SecretError> {
    let sealed = sqlx::query_scalar!(
        "select ciphertext from cluster_secrets where cluster_id = $1 and name = $2",
        cluster.0,
        name,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::from)?;
    sealed
        .map(|sealed| key.open(&cluster_context(cluster, name), name, &sealed))
        .transpose()
}

/// Writes a secret, whatever was there.
///
/// # Errors
/// When the database cannot be asked.
pub async fn put(
    connection: &mut PgConnection,
    key: &MasterKey,
    cluster: ClusterId,
    name: &str,
    secret: &SecretString,
) -> Result<(), SecretError> {
    let sealed = key.seal(&cluster_context(cluster, name), name, secret)?;
    sqlx::query!(
        "insert into cluster_secrets (cluster_id, name, ciphertext) values ($1, $2, $3)
         on conflict (cluster_id, name) do update set ciphertext = excluded.ciphertext, created_at = now()",
        cluster.0,
        name,
        sealed,
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(())
}

/// Clusters whose secret of this name was written before then.
///
/// # Errors
/// When the database cannot be asked.
pub async fn aged(
    connection: &mut PgConnection,
    name: &str,
    before: DateTime<Utc>,
) -> Result<Vec<ClusterId>, StoreError> {
    let found = sqlx::query_scalar!(
        "select cluster_id from cluster_secrets where name = $1 and created_at < $2 order by created_at",
        name,
        before,
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(ClusterId).collect())
}

/// Writes a secret in the place of one that is there, and announces it to those who hand it out. False: there is none any
/// more, and nothing was written.
///
/// # Errors
/// When the database cannot be asked.
pub async fn replace(
    connection: &mut PgConnection,
    key: &MasterKey,
    cluster: ClusterId,
    name: &str,
    secret: &SecretString,
) -> Result<bool, SecretError> {
    let sealed = key.seal(&cluster_context(cluster, name), name, secret)?;
    let done = sqlx::query!(
        "with written as (
             update cluster_secrets set ciphertext = $3, created_at = now() where cluster_id = $1 and name = $2
             returning cluster_id)
         select pg_notify('updraft_clusters', cluster_id::text) from written",
        cluster.0,
        name,
        sealed,
    )
    .fetch_optional(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(done.is_some())
}

/// Writes a secret unless there is one, and gives the one that is there.
///
/// # Errors
/// When the database cannot be asked, or the secret does not open.
pub async fn ensure(
    connection: &mut PgConnection,
    key: &MasterKey,
    cluster: ClusterId,
    name: &str,
    fresh: &SecretString,
) -> Result<SecretString, SecretError> {
    let sealed = key.seal(&cluster_context(cluster, name), name, fresh)?;
    sqlx::query!(
        "insert into cluster_secrets (cluster_id, name, ciphertext) values ($1, $2, $3) on conflict do nothing",
        cluster.0,
        name,
        sealed,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::from)?;
    let kept = get(connection, key, cluster, name).await?;
    kept.ok_or_else(|| StoreError::Missing { what: "cluster" }.into())
}

/// Destroys one; none there is fine.
///
/// # Errors
/// When the database cannot be asked.
pub async fn remove(connection: &mut PgConnection, cluster: ClusterId, name: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from cluster_secrets where cluster_id = $1 and name = $2",
        cluster.0,
        name
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// # Errors
/// When the database cannot be asked.
pub async fn remove_all(connection: &mut PgConnection, cluster: ClusterId) -> Result<(), StoreError> {
    sqlx::query!("delete from cluster_secrets where cluster_id = $1", cluster.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// A key of the installation itself (session signing, edge signing …), made on first use.
///
/// # Errors
/// When the database cannot be asked, or the key does not open.
pub async fn ensure_control_key(
    connection: &mut PgConnection,
    key: &MasterKey,
    name: &str,
    fresh: &SecretString,
) -> Result<SecretString, SecretError> {
    let context = format!("updraft/control/{name}");
    let sealed = key.seal(&context, name, fresh)?;
    sqlx::query!(
        "insert into control_keys (name, ciphertext) values ($1, $2) on conflict do nothing",
        name,
        sealed,
    )
    .execute(&mut *connection)
    .await
    .map_err(StoreError::from)?;
    let kept = sqlx::query_scalar!("select ciphertext from control_keys where name = $1", name)
        .fetch_one(connection)
        .await
        .map_err(StoreError::from)?;
    key.open(&context, name, &kept)
}

/// The keys of the installation whose names begin so, in the order they were made.
///
/// # Errors
/// When the database cannot be asked, or a key does not open.
pub async fn list_control_keys(
    connection: &mut PgConnection,
    key: &MasterKey,
    prefix: &str,
) -> Result<Vec<ControlKey>, SecretError> {
    let rows = sqlx::query!(
        r#"select name, ciphertext, created_at, signs_since, turn_asked_at is not null as "is_asked!",
                  distrusted_at is not null as "is_distrusted!"
           from control_keys where starts_with(name, $1) order by created_at, name"#,
        prefix,
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::from)?;
    rows.into_iter()
        .map(|row| {
            let context = format!("updraft/control/{}", row.name);
            Ok(ControlKey {
                secret: key.open(&context, &row.name, &row.ciphertext)?,
                name: row.name,
                created_at: row.created_at,
                signs_since: row.signs_since,
                is_asked: row.is_asked,
                is_distrusted: row.is_distrusted,
            })
        })
        .collect()
}

/// # Errors
/// When the database cannot be asked.
pub async fn remove_control_key(connection: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    sqlx::query!("delete from control_keys where name = $1", name)
        .execute(connection)
        .await?;
    Ok(())
}

fn cluster_context(cluster: ClusterId, name: &str) -> String {
    format!("updraft/cluster/{cluster}/{name}")
}

/// 32 random bytes in unpadded URL-safe base64: 256 bits, fit for URLs, headers and shells.
#[must_use]
pub fn random_token() -> SecretString {
    use base64::Engine as _;
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rand::rng().fill_bytes(bytes.as_mut_slice());
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .encode(bytes.as_slice())
        .into()
}

/// A Fernet key as Airflow wants it: 32 random bytes in padded URL-safe base64.
#[must_use]
pub fn random_fernet_key() -> SecretString {
    use base64::Engine as _;
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rand::rng().fill_bytes(bytes.as_mut_slice());
    base64::engine::general_purpose::URL_SAFE
        .encode(bytes.as_slice())
        .into()
}
