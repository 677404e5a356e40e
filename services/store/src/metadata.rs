//! Clusters' metadata databases, on a server apart from control's own.
//!
//! One database and one login role for each cluster, both named `airflow_<id>`. A database is cloned from the runtime's
//! migrated template under a name of passage, its objects are given to the role, it is closed to others, and only then
//! does it get its name: whatever has the name is complete, whatever has the passage's is thrown away and begun anew.

use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;
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
        let mut admin = self.connect(None).await?;
        lock(&mut admin, cluster).await?;
        let password = &password.await?;
        ensure_role(&mut admin, &name, password).await?;
        end_sessions(&mut admin, &name).await?;
        if !exists(&mut admin, &name).await? {
            self.build(&mut admin, &name, template).await?;
        }
        admin.close().await?;
        self.dsn(&name, password)
    }

    /// Removes database and role; ends their connections. None there is fine.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn drop_database(&self, cluster: ClusterId) -> Result<(), StoreError> {
        let name = database_name(cluster);
        let mut admin = self.connect(None).await?;
        lock(&mut admin, cluster).await?;
        run(
            &mut admin,
            format!("drop database if exists {} with (force)", passage(&name)),
        )
        .await?;
        run(&mut admin, format!("drop database if exists {name} with (force)")).await?;
        run(&mut admin, format!("drop role if exists {name}")).await?;
        admin.close().await.map_err(StoreError::from)
    }

    async fn build(&self, admin: &mut PgConnection, name: &str, template: &str) -> Result<(), StoreError> {
        let passage = passage(name);
        run(admin, format!("drop database if exists {passage} with (force)")).await?;
        let clone = format!(
            "create database {passage} template {} allow_connections true",
            quoted(template)
        );
        run(admin, clone).await?;
        run(admin, format!("revoke all on database {passage} from public")).await?;
        let mut inside = self.connect(Some(&passage)).await?;
        give_objects(&mut inside, name).await?;
        inside.close().await?;
        run(admin, format!("alter database {passage} owner to {name}")).await?;
        run(admin, format!("alter database {passage} rename to {name}")).await
    }

    fn dsn(&self, name: &str, password: &SecretString) -> Result<SecretString, StoreError> {
        let options: PgConnectOptions = PgConnectOptions::from_str(self.admin.expose_secret())?;
        let own = || format!("{}:{}", options.get_host(), options.get_port());
        let at = self.reached_at.clone().unwrap_or_else(own);
        Ok(format!("postgresql://{name}:{}@{at}/{name}", password.expose_secret()).into())
    }

    async fn connect(&self, database: Option<&str>) -> Result<PgConnection, StoreError> {
        let options: PgConnectOptions = PgConnectOptions::from_str(self.admin.expose_secret())?;
        let options = match database {
            Some(name) => options.database(name),
            None => options,
        };
        Ok(options.connect().await?)
    }
}

/// One at a time for a cluster, whoever asks; the lock ends with the connection.
async fn lock(admin: &mut PgConnection, cluster: ClusterId) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_lock(hashtextextended('updraft metadata', $1))")
        .bind(cluster.0)
        .execute(admin)
        .await?;
    Ok(())
}

async fn ensure_role(
    admin: &mut PgConnection,
    name: &str,
    password: &SecretString,
) -> Result<(), StoreError> {
    let there = sqlx::query_scalar::<_, bool>("select exists (select from pg_roles where rolname = $1)")
        .bind(name)
        .fetch_one(&mut *admin)
        .await?;
    if !there {
        run(admin, format!("create role {name} nologin")).await?;
    }
    // Who administers may be no superuser (RDS has none to give): it may hand on only to whom it is a member of, and may not
    // even say that a role is no superuser, which none that is made is.
    run(admin, format!("grant {name} to current_user")).await?;
    let password = password.expose_secret().replace('\'', "''");
    let rights = "login nocreatedb nocreaterole";
    run(
        admin,
        format!("alter role {name} {rights} connection limit {CONNECTION_LIMIT} password '{password}'"),
    )
    .await
}

/// Whoever is connected as the cluster came in with a password of before.
async fn end_sessions(admin: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1")
        .bind(name)
        .execute(admin)
        .await?;
    Ok(())
}

async fn exists(admin: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar("select exists (select from pg_database where datname = $1)").bind(name);
    Ok(found.fetch_one(admin).await?)
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
