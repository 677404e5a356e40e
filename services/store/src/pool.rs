//! The pool, transactions, and what the tables announce.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::{Postgres, Transaction};

use crate::StoreError;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// A use case's one transaction; derefs to the connection that the modules' functions take.
pub type Tx = Transaction<'static, Postgres>;

/// The control plane's database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
}

/// What [`Store::listen`] can wake on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A cluster's spec, power, wishes or wake time changed; the payload is its id.
    Clusters,
    /// An event was added; the payload is its id.
    Events,
    /// There is something new in [`crate::changes`] for edges: clusters, rights or sessions.
    Policy,
}

/// Waits for announcements; reconnects by itself.
#[derive(Debug)]
pub struct Announcements {
    listener: PgListener,
}

// === impl Store ===

impl Store {
    /// # Errors
    /// When the URL is not one, or the database does not answer within 10 seconds.
    pub async fn connect(url: &SecretString, max_connections: u32) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(Duration::from_secs(10))
            .connect(url.expose_secret())
            .await?;
        Ok(Self { pool })
    }

    /// Brings the tables up to date; forward only.
    ///
    /// # Errors
    /// When a migration fails, or the database is newer than this program.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        Ok(MIGRATIONS.run(&self.pool).await?)
    }

    /// # Errors
    /// When no connection is to be had.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        self.begin_with("begin").await
    }

    /// For reads that belong together: all of them see what was committed before the first, and nothing after.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn snapshot(&self) -> Result<Tx, StoreError> {
        self.begin_with("begin isolation level repeatable read read only")
            .await
    }

    async fn begin_with(&self, statement: &'static str) -> Result<Tx, StoreError> {
        // sqlx 0.9 leaves a connection inside a transaction when `begin` is cancelled half-way, and the pool hands it out
        // again: so it runs to its end apart, whoever has stopped waiting for it.
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin_with(statement).await }).await;
        Ok(begun.map_err(|_| sqlx::Error::WorkerCrashed)??)
    }

    /// A connection outside any transaction, for reads.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        Ok(self.pool.acquire().await?)
    }

    /// # Errors
    /// When the database does not answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        sqlx::query_scalar!(r#"select 1 as "one!""#)
            .fetch_one(&mut *connection)
            .await?;
        Ok(())
    }

    /// # Errors
    /// When no connection is to be had.
    pub async fn listen(&self, channels: &[Channel]) -> Result<Announcements, StoreError> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener
            .listen_all(channels.iter().map(|channel| channel.name()))
            .await?;
        Ok(Announcements { listener })
    }
}

// === impl Announcements ===

impl Announcements {
    /// The next announcement's channel and payload; `None` after the connection was lost and made anew: whatever was
    /// announced in between was missed, so look at everything.
    ///
    /// # Errors
    /// When the connection cannot be made anew.
    pub async fn next(&mut self) -> Result<Option<(Channel, String)>, StoreError> {
        loop {
            let Some(announced) = self.listener.try_recv().await? else {
                return Ok(None);
            };
            if let Some(channel) = Channel::named(announced.channel()) {
                return Ok(Some((channel, announced.payload().to_owned())));
            }
        }
    }
}

// === impl Channel ===

impl Channel {
    fn name(self) -> &'static str {
        match self {
            Self::Clusters => "updraft_clusters",
            Self::Events => "updraft_events",
            Self::Policy => "updraft_policy",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Clusters, Self::Events, Self::Policy]
            .into_iter()
            .find(|channel| channel.name() == name)
    }
}
