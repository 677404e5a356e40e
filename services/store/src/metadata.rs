//! Clusters' metadata databases, on a server apart from control's own.
//!
//! One database and one login role for each cluster, both named `airflow_<id>`. A database is cloned from the runtime's
//! migrated template under a name of passage, its objects are given to the role, it is closed to others, and only then
//! does it get its name: whatever has the name is complete, whatever has the passage's is thrown away and begun anew.
//!
//! How clusters' own connections are secured is no part of the DSN that is kept: nodes are told so when they are told the DSN.

mod closing;
mod roles;

use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use updraft_model::ClusterId;

use crate::StoreError;

/// Connections one cluster may hold: schedulers, API servers and pools of a large one stay below.
const CONNECTION_LIMIT: u32 = 100;

/// The metadata server, as its administrator.
#[derive(Clone, Debug)]
pub struct MetadataServer {
    admin: SecretString,
    /// `host:port` for clusters, where it is another than the administrator's.
    reached_at: Option<String>,
}

// === impl MetadataServer ===

impl MetadataServer {
    /// `admin`: the `postgresql://` address on that server of who may make databases and roles: `createdb createrole` will do.
    #[must_use]
    pub fn new(admin: SecretString) -> Self {
        Self {
            admin,
            reached_at: None,
        }
    }

    /// Clusters reach the server at this `host:port`.
    #[must_use]
    pub fn reached_at(self, address: Option<String>) -> Self {
        Self {
            reached_at: address,
            ..self
        }
    }

    /// Makes the cluster's database and role, or completes what an earlier call left half done; the answer is the DSN
    /// for the cluster. The same at every repetition.
    ///
    /// # Errors
    /// When the server cannot be asked, or the template is not there.
    pub async fn ensure_database(
        &self,
        cluster: ClusterId,
        template: &str,
        password: &SecretString,
    ) -> Result<SecretString, StoreError> {
        let password = password.clone();
        self.ensure_database_with(cluster, template, async { Ok(password) })
            .await
    }

    /// The same with the password that it has when nobody else can write one: who slept over another turn of the cluster's keys
    /// is to be told so by `password`, and changes nothing then.
    ///
    /// # Errors
    /// When the server cannot be asked, the template is not there, or there is no password.
    pub async fn ensure_database_with(
        &self,
        cluster: ClusterId,
        template: &str,
        password: impl Future<Output = Result<SecretString, StoreError>>,
    ) -> Result<SecretString, StoreError> {
        let name = database_name(cluster);
        let mut admin = self.connect().await?;
        lock(&mut admin, cluster).await?;
        closing::close(&mut admin).await?;
        let password = &password.await?;
        roles::ensure(&mut admin, &name, password).await?;
        // Whoever is connected as the cluster came in with a password of before.
        roles::end_sessions(&mut admin, &name).await?;
        if !exists(&mut admin, &name).await? {
            self.build(&mut admin, &name, template).await?;
        }
        admin.close().await?;
        self.dsn(&name, password)
    }

    /// Removes database and role, with what the role left in other databases; ends their connections. None there is fine.
    ///
    /// # Errors
    /// When the server cannot be asked, or the administrator may not enter a database that the role left something in.
    pub async fn drop_database(&self, cluster: ClusterId) -> Result<(), StoreError> {
        let name = database_name(cluster);
        let mut admin = self.connect().await?;
        lock(&mut admin, cluster).await?;
        closing::close(&mut admin).await?;
        let role = roles::exists(&mut admin, &name).await?;
        if role {
            roles::shut_out(&mut admin, &name).await?;
        }
        for database in [passage(&name), name.clone()] {
            discard(&mut admin, &database).await?;
        }
        if role {
            self.clear_elsewhere(&mut admin, &name).await?;
            run(&mut admin, format!("drop role if exists {name}")).await?;
        }
        admin.close().await.map_err(StoreError::from)
    }

    /// Closes what is no cluster's on that server to clusters' roles, which PostgreSQL lets in unless it is told otherwise.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn close_to_clusters(&self) -> Result<(), StoreError> {
        let mut admin = self.connect().await?;
        closing::close(&mut admin).await?;
        admin.close().await.map_err(StoreError::from)
    }

    async fn clear_elsewhere(&self, admin: &mut PgConnection, role: &str) -> Result<(), StoreError> {
        let clear = format!("drop owned by {role}");
        for database in roles::traces(admin, role).await? {
            let left = |source| StoreError::LeftBehind {
                role: role.to_owned(),
                database: database.clone(),
                source,
            };
            let mut inside = self.enter(&database).await.map_err(left)?;
            run(&mut inside, clear.clone()).await?;
            inside.close().await?;
        }
        // What it was given on databases themselves is in none of them.
        run(admin, clear).await
    }

    /// Nobody is let in before it is closed to everybody, not for a moment.
    async fn build(&self, admin: &mut PgConnection, name: &str, template: &str) -> Result<(), StoreError> {
        let passage = passage(name);
        discard(admin, &passage).await?;
        let clone = format!(
            "create database {passage} template {} allow_connections false",
            quoted(template)
        );
        run(admin, clone).await?;
        run(admin, format!("revoke all on database {passage} from public")).await?;
        run(
            admin,
            format!("alter database {passage} with allow_connections true"),
        )
        .await?;
        let mut inside = self.enter(&passage).await?;
        give_objects(&mut inside, name).await?;
        inside.close().await?;
        run(admin, format!("alter database {passage} owner to {name}")).await?;
        run(admin, format!("alter database {passage} rename to {name}")).await
    }

    fn dsn(&self, name: &str, password: &SecretString) -> Result<SecretString, StoreError> {
        let options = self.options()?;
        let own = || format!("{}:{}", options.get_host(), options.get_port());
        let at = self.reached_at.clone().unwrap_or_else(own);
        Ok(format!("postgresql://{name}:{}@{at}/{name}", password.expose_secret()).into())
    }

    async fn connect(&self) -> Result<PgConnection, StoreError> {
        Ok(self.options()?.connect().await?)
    }

    async fn enter(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        self.options()?.database(database).connect().await
    }

    fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        PgConnectOptions::from_str(self.admin.expose_secret())
    }
}

/// Whether a connection to this address goes to nobody but the server that its authority's certificates name, or vouch for:
/// `sslmode=verify-full` or `verify-ca`.
///
/// # Errors
/// When it is no database address.
pub fn is_verified(address: &SecretString) -> Result<bool, StoreError> {
    let options = PgConnectOptions::from_str(address.expose_secret())?;
    Ok(matches!(
        options.get_ssl_mode(),
        PgSslMode::VerifyCa | PgSslMode::VerifyFull
    ))
}

/// One at a time for a cluster, whoever asks; the lock ends with the connection.
async fn lock(admin: &mut PgConnection, cluster: ClusterId) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_lock(hashtextextended('updraft metadata', $1))")
        .bind(cluster.0)
        .execute(admin)
        .await?;
    Ok(())
}

async fn exists(admin: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar("select exists (select from pg_database where datname = $1)").bind(name);
    Ok(found.fetch_one(admin).await?)
}

/// Drops a database, its own connections with it. Its owner may have called it a template, which none is dropped as.
async fn discard(admin: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    let template = sqlx::query_scalar("select datistemplate from pg_database where datname = $1").bind(name);
    // Only then: one whose dropping was broken off can be dropped, and not be altered.
    if template.fetch_optional(&mut *admin).await? == Some(true) {
        run(admin, format!("alter database {name} with is_template false")).await?;
    }
    run(admin, format!("drop database if exists {name} with (force)")).await
}

/// A clone keeps the template's owner on everything; `reassign owned` would also take what that owner has elsewhere.
async fn give_objects(inside: &mut PgConnection, role: &str) -> Result<(), StoreError> {
    let statement = format!(
        "do $$
         declare object record;
         begin
             for object in
                 select n.oid, n.nspname from pg_namespace n
                 where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
             loop
                 execute format('alter schema %I owner to {role}', object.nspname);
                 execute format('revoke all on schema %I from public', object.nspname);
             end loop;
             for object in
                 select c.oid::regclass as name, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace
                 where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
                   and c.relkind in ('r', 'p', 'v', 'm', 'f')
             loop
                 execute format('alter table %s owner to {role}', object.name);
             end loop;
             for object in
                 select c.oid::regclass as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
                 where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' and c.relkind = 'S'
                   and not exists (
                       select from pg_depend d
                       where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i'))
             loop
                 execute format('alter sequence %s owner to {role}', object.name);
             end loop;
             for object in
                 select format_type(t.oid, null) as name from pg_type t join pg_namespace n on n.oid = t.typnamespace
                 where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' and t.typtype in ('e', 'd')
             loop
                 execute format('alter type %s owner to {role}', object.name);
             end loop;
             for object in
                 select p.oid::regprocedure as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                 where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
                   and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
             loop
                 execute format('alter routine %s owner to {role}', object.name);
             end loop;
         end $$"
    );
    run(inside, statement).await
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<(), StoreError> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}

fn database_name(cluster: ClusterId) -> String {
    format!("airflow_{}", cluster.0.unsigned_abs())
}

fn passage(name: &str) -> String {
    format!("{name}_unfinished")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
