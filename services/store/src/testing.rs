//! A fresh, migrated database for each test, on the server of `DATABASE_URL`; dropped with the value.
//!
//! A copy of one that is migrated once for all tests: each migrating its own took half of what unit tests cost.

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use crate::pool::MIGRATIONS;
use crate::template::{self, Template};
use crate::{Store, StoreError};

/// A database of one test's own.
#[derive(Debug)]
pub struct TestDatabase {
    server: String,
    name: String,
    store: Store,
}

// === impl TestDatabase ===

impl TestDatabase {
    /// # Errors
    /// When there is no server to be reached.
    pub async fn create() -> Result<Self, StoreError> {
        let server = server_url().ok_or(StoreError::Missing { what: "DATABASE_URL" })?;
        let name = format!("updraft_test_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&server).await?;
        let template = migrated(&mut admin, &server).await?;
        let copy = format!("create database {name} template {template}");
        admin.execute(sqlx::AssertSqlSafe(copy)).await?;
        let store = Store::connect(&database_url(&server, &name), 8).await?;
        Ok(Self { server, name, store })
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    #[must_use]
    pub fn url(&self) -> SecretString {
        database_url(&self.server, &self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A destructor cannot wait for a future of the test's own runtime.
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&server).await.ok()?;
                let drop = format!("drop database if exists {name} with (force)");
                admin.execute(sqlx::AssertSqlSafe(drop)).await.ok()
            })
        });
        let _ = dropper.join();
    }
}

/// The database that these migrations make. Whoever comes first makes it, and the others wait.
async fn migrated(admin: &mut PgConnection, server: &str) -> Result<String, StoreError> {
    let mut digest = Sha256::new();
    for migration in MIGRATIONS.iter() {
        digest.update(&migration.checksum);
    }
    let name = format!("updraft_template_{}", hex::encode(&digest.finalize()[..8]));
    let url = SecretString::from(server.to_owned());
    admin
        .execute("select pg_advisory_lock(hashtext('updraft_template'))")
        .await?;
    if template::ensure(&url, &name).await? == Template::Open {
        let mut unsealed = PgConnection::connect(database_url(server, &name).expose_secret()).await?;
        MIGRATIONS.run(&mut unsealed).await?;
        unsealed.close().await?;
        template::seal(&url, &name).await?;
    }
    admin
        .execute("select pg_advisory_unlock(hashtext('updraft_template'))")
        .await?;
    Ok(name)
}

fn database_url(server: &str, name: &str) -> SecretString {
    let (base, _) = server.rsplit_once('/').unwrap_or((server, ""));
    SecretString::from(format!("{base}/{name}"))
}

fn server_url() -> Option<String> {
    std::env::var("DATABASE_URL").ok().or_else(|| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.env");
        let text = std::fs::read_to_string(file).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("DATABASE_URL="))
            .map(str::to_owned)
    })
}
