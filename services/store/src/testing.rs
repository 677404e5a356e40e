//! A fresh, migrated database for each test, on the server of `DATABASE_URL`; dropped with the value.

use std::path::Path;

use secrecy::SecretString;
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

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
        admin
            .execute(sqlx::AssertSqlSafe(format!("create database {name}")))
            .await?;
        let store = Store::connect(&database_url(&server, &name), 8).await?;
        store.migrate().await?;
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
