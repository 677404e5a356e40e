//! The master key while control runs: read again when its file changes, and exchanged for another without a pause.
//!
//! A key seals only once every control process that lives holds it, so that none meets what it cannot open. What lies
//! under another key is then sealed anew. Keys that could not open what is there are not taken over: control goes on with
//! those it has, and says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use updraft_store::resealing::{self, Resealed, WrongKey};
use updraft_store::secrets::{MasterKey, MasterKeyError, Sealing, SecretError};
use updraft_store::{Store, StoreError, controls, dag_hooks};

const PAUSE: Duration = Duration::from_secs(2);
/// Looks between which the tables are left alone, where the last one found nothing to be done: ten minutes.
const RARELY: u32 = 300;

#[derive(Debug, Error)]
pub enum KeyringError {
    #[error(transparent)]
    File(#[from] MasterKeyError),
    #[error("the master key does not open what is in control's database")]
    Wrong(#[from] WrongKey),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The master key, its file, and what lies under it.
pub struct Keyring {
    store: Store,
    file: PathBuf,
    key: Arc<MasterKey>,
}

/// Once for each thing that is wrong.
fn complain(error: Option<KeyringError>, said: &mut String) {
    let Some(error) = error else { return said.clear() };
    let text = format!("{error:?}");
    if *said != text {
        tracing::error!(error = ?error, "the master key's file is not followed: control goes on with the keys it has");
        *said = text;
    }
}

// === impl Keyring ===

impl Keyring {
    /// Reads the key's file, or makes it with the first start, and holds it against what is in the database.
    ///
    /// # Errors
    /// When the file cannot be read or the database cannot be asked, and with keys that do not belong to this database.
    pub async fn open(store: Store, file: &Path) -> Result<Self, KeyringError> {
        let key = Arc::new(MasterKey::load_or_create(file)?);
        let ring = Self {
            store,
            file: file.to_owned(),
            key,
        };
        let mut connection = ring.store.connection().await?;
        resealing::check(&mut connection, &ring.key, false).await?;
        drop(connection);
        ring.decide().await?;
        ring.keep_hooks_secrets().await?;
        tracing::info!(keys = ?ring.key.held(), sealing = ?ring.key.sealing(), "the master key opens what is there");
        Ok(ring)
    }

    #[must_use]
    pub fn key(&self) -> &Arc<MasterKey> {
        &self.key
    }

    /// Follows the file, decides which key seals, and seals anew, until shutdown.
    pub async fn run(&self, shutdown: CancellationToken) {
        let forever = async {
            let (mut idle_looks, mut said) = (RARELY, String::new());
            loop {
                let looked = self.look(idle_looks >= RARELY).await;
                idle_looks = match looked {
                    Ok(true) => RARELY,
                    Ok(false) | Err(_) if idle_looks >= RARELY => 0,
                    Ok(false) | Err(_) => idle_looks + 1,
                };
                complain(looked.err(), &mut said);
                sleep(PAUSE).await;
            }
        };
        shutdown.run_until_cancelled(forever).await;
    }

    /// One look; true when something was changed.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub async fn look(&self, is_due: bool) -> Result<bool, KeyringError> {
        let adopted = self.follow_file().await?;
        let decided = self.decide().await?;
        if !is_due && !adopted && !decided {
            return Ok(false);
        }
        self.keep_hooks_secrets().await?;
        let resealed = self.reseal().await?;
        Ok(adopted || decided || resealed.values > 0)
    }

    async fn follow_file(&self) -> Result<bool, KeyringError> {
        let there = MasterKey::load(&self.file)?;
        if there.current() == self.key.current() && there.previous() == self.key.previous() {
            return Ok(false);
        }
        let mut connection = self.store.connection().await?;
        resealing::check(&mut connection, &there, true).await?;
        there.seal_with(self.best(&there).await?);
        self.key.adopt(&there);
        tracing::info!(keys = ?self.key.held(), "other master keys are in the file: they are held from now on");
        Ok(true)
    }

    async fn decide(&self) -> Result<bool, KeyringError> {
        let best = self.best(&self.key).await?;
        if best == self.key.sealing() {
            return Ok(false);
        }
        self.key.seal_with(best);
        tracing::info!(keys = ?self.key.held(), sealing = ?best, "another master key seals from now on");
        Ok(true)
    }

    /// What everybody who lives can open.
    async fn best(&self, key: &MasterKey) -> Result<Sealing, KeyringError> {
        let mut connection = self.store.connection().await?;
        let living = controls::master_keys(&mut connection).await?;
        let current = key.current().to_string();
        Ok(if living.iter().any(Vec::is_empty) {
            Sealing::Unmarked
        } else if living.iter().all(|held| held.contains(&current)) {
            Sealing::Current
        } else {
            Sealing::Previous
        })
    }

    async fn reseal(&self) -> Result<Resealed, KeyringError> {
        if self.key.sealing() != Sealing::Current {
            return Ok(Resealed::default());
        }
        let done = resealing::reseal(&self.store, &self.key, |_| {}).await?;
        if done.values > 0 {
            tracing::info!(secrets = done.values, "sealed anew under the current master key");
        }
        if done.shut > 0 {
            tracing::warn!(
                secrets = done.shut,
                "they open under no master key that is held: damaged, or moved from where they belong"
            );
        }
        Ok(done)
    }

    /// Secrets that an earlier release derived would be others under another key: they are written down while the one
    /// they were derived from is the only one.
    async fn keep_hooks_secrets(&self) -> Result<(), KeyringError> {
        let mut tx = self.store.begin().await?;
        let hooks = dag_hooks::without_secret(&mut tx).await?;
        if !hooks.is_empty() && self.key.previous().is_some() {
            return Err(WrongKey::TooEarly.into());
        }
        for hook in &hooks {
            let secret = dag_hooks::derived(&self.key, hook);
            dag_hooks::put_secret(&mut tx, &self.key, hook, &secret).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}
