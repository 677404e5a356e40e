//! The template database of a runtime, on the metadata server: clusters' databases are cloned from it.

use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use url::Url;

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
    let name = quoted(name);
    if sealed.is_none() {
        run(
            &mut connection,
            format!("create database {name} allow_connections false"),
        )
        .await?;
    }
    if sealed != Some(true) {
        // Clusters' roles have no business in it.
        run(
            &mut connection,
            format!("revoke all on database {name} from public"),
        )
        .await?;
        run(
            &mut connection,
            format!("alter database {name} with allow_connections true"),
        )
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
    run(&mut connection, statement).await?;
    connection.close().await?;
    Ok(())
}

/// The address of one database on the same server, for the one who fills it: Airflow's migration, whose driver is libpq's
/// (psycopg2), and control itself for its own database of `up`. Of the administrator's options it keeps those that say how
/// the connection is secured, in the words that both know; libpq refuses others that sqlx has.
///
/// # Errors
/// When `admin` is no database address.
pub fn address_of(admin: &SecretString, name: &str) -> Result<SecretString, StoreError> {
    let mut address = Url::parse(admin.expose_secret()).map_err(|_| StoreError::Corrupt {
        what: "database address",
    })?;
    // As they were written: both read the same escapes, and a form's `+` neither.
    let options = address.query().unwrap_or_default().split('&');
    let kept: Vec<_> = options.filter_map(security).collect();
    address.set_path(name);
    address.set_query((!kept.is_empty()).then(|| kept.join("&")).as_deref());
    Ok(String::from(address).into())
}

fn security(option: &str) -> Option<String> {
    let (word, value) = option.split_once('=')?;
    let word = match word {
        "sslmode" | "ssl-mode" => "sslmode",
        "sslrootcert" | "ssl-root-cert" | "ssl-ca" => "sslrootcert",
        _ => return None,
    };
    Some(format!("{word}={value}"))
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<(), StoreError> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}

async fn connect(admin: &SecretString) -> Result<PgConnection, StoreError> {
    let options: PgConnectOptions = PgConnectOptions::from_str(admin.expose_secret())?;
    Ok(options.connect().await?)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
