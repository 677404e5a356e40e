//! The template database of a runtime, on the metadata server: clusters' databases are cloned from it.

use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use crate::StoreError;

/// How far the preparation of a template has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// Ready to be cloned; nobody can connect to it.
    Sealed,
    /// It is there, empty or half migrated: migrate it, then [`seal`] it.
    Open,
}

/// Makes the template's database unless it is there.
///
/// # Errors
/// When the metadata server cannot be asked.
pub async fn ensure(admin: &SecretString, name: &str) -> Result<Template, StoreError> {
    let mut connection = connect(admin).await?;
    let sealed = sqlx::query_scalar::<_, bool>("select datistemplate from pg_database where datname = $1")
        .bind(name)
        .fetch_optional(&mut connection)
        .await?;
    if sealed.is_none() {
        let statement = format!("create database {}", quoted(name));
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await?;
    }
    connection.close().await?;
    Ok(if sealed == Some(true) {
        Template::Sealed
    } else {
        Template::Open
    })
}

/// Marks it as ready and closes it to connections: a clone needs a source that nobody uses.
///
/// # Errors
/// When the metadata server cannot be asked.
pub async fn seal(admin: &SecretString, name: &str) -> Result<(), StoreError> {
    let mut connection = connect(admin).await?;
    let statement = format!(
        "alter database {} with is_template true allow_connections false",
        quoted(name)
    );
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

/// The address of one database on the same server, for the one who migrates it: as plain as the administrator's, since
/// not every reader knows every option.
///
/// # Errors
/// When `admin` is no database address.
pub fn address_of(admin: &SecretString, name: &str) -> Result<SecretString, StoreError> {
    let (server, _) = admin
        .expose_secret()
        .rsplit_once('/')
        .ok_or(StoreError::Corrupt {
            what: "database address",
        })?;
    Ok(format!("{server}/{name}").into())
}

async fn connect(admin: &SecretString) -> Result<PgConnection, StoreError> {
    let options: PgConnectOptions = PgConnectOptions::from_str(admin.expose_secret())?;
    Ok(options.connect().await?)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
