//! Clusters' login roles: made without their passwords being said, and removed with what they left elsewhere.

use secrecy::SecretString;
use sqlx::PgConnection;

use super::{CONNECTION_LIMIT, run};
use crate::{StoreError, scram};

/// Makes it unless it is there, and gives it this password.
pub(super) async fn ensure(
    admin: &mut PgConnection,
    name: &str,
    password: &SecretString,
) -> Result<(), StoreError> {
    let verifier = scram::verifier(password, rand::random())?;
    if !exists(admin, name).await? {
        run(admin, format!("create role {name} nologin")).await?;
    }
    join(admin, name).await?;
    let rights = "login nocreatedb nocreaterole";
    run(
        admin,
        format!("alter role {name} {rights} connection limit {CONNECTION_LIMIT} password '{verifier}'"),
    )
    .await
}

pub(super) async fn exists(admin: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)").bind(name);
    Ok(found.fetch_one(admin).await?)
}

/// From here on nobody is connected as it, nor comes in.
pub(super) async fn shut_out(admin: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    join(admin, name).await?;
    run(admin, format!("alter role {name} nologin")).await?;
    end_sessions(admin, name).await
}

pub(super) async fn end_sessions(admin: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1")
        .bind(name)
        .execute(admin)
        .await?;
    Ok(())
}

/// Databases in which it owns something or was given something, which a role cannot be dropped over.
pub(super) async fn traces(admin: &mut PgConnection, name: &str) -> Result<Vec<String>, StoreError> {
    let found = sqlx::query_scalar(
        "select distinct d.datname::text from pg_shdepend s
         join pg_database d on d.oid = s.dbid join pg_roles r on r.oid = s.refobjid
         where s.refclassid = 'pg_authid'::regclass and r.rolname = $1",
    );
    Ok(found.bind(name).fetch_all(admin).await?)
}

/// Who administers may be no superuser (RDS has none to give): it may hand on to, and take from, only whom it is a member of,
/// and may not even say that a role is no superuser, which none that is made is.
async fn join(admin: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    run(admin, format!("grant {name} to current_user")).await
}
