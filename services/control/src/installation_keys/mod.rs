//! The keys of the installation that others go by: with which edges say to Airflow who somebody is, and under which they show
//! agents that they are edges.
//!
//! They follow each other while everything goes on ([`updraft_planner::key_turn`]): each process of control looks every two
//! seconds what is to be done, one at a time, and nothing of a turn is remembered but the keys themselves. What a process says it goes
//! by, it went by at its look before, so nothing that was begun with less is under way any more.

mod held;
mod purpose;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use updraft_app::AppError;
use updraft_app::audit::{By, Change, Target, besides};
use updraft_authz::KeyError;
use updraft_planner::key_turn::{self, KeyStep};
pub use updraft_planner::key_turn::{KeyStanding, TurningKey};
use updraft_store::secrets::{self, MasterKey, SecretError};
use updraft_store::{PgConnection, Store, StoreError, installation_keys};
use uuid::Uuid;

pub use held::InstallationKeys;
pub use purpose::Purpose;

use crate::assignments::News;
use crate::tunnels::TunnelsError;
use held::Held;
use purpose::{standing, turning};

const PAUSE: Duration = Duration::from_secs(2);
/// Make, use, forget, and one more to see that nothing is left.
const STEPS: usize = 4;

#[derive(Debug, Error)]
pub enum InstallationKeysError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("a turn could not be put into the audit log")]
    Audit(#[from] AppError),
    #[error("the installation's key `{name}` is damaged")]
    Damaged { name: String },
    #[error("a key could not be made")]
    Key(#[from] KeyError),
    #[error("an authority of tunnels could not be made")]
    Authority(#[from] TunnelsError),
}

/// Turns them, and keeps what this process goes by up to date.
pub struct KeyTurner {
    pub store: Store,
    pub master_key: Arc<MasterKey>,
    /// This process.
    pub control: Uuid,
    pub purposes: Vec<Purpose>,
    pub keys: InstallationKeys,
    /// Whose agents are told of other keys.
    pub news: Arc<News>,
}

impl InstallationKeys {
    /// Makes the first ones at the first start.
    ///
    /// # Errors
    /// When the database cannot be asked, or a key does not open.
    pub async fn open(
        store: &Store,
        master_key: &MasterKey,
        purposes: &[Purpose],
    ) -> Result<Self, InstallationKeysError> {
        let mut tx = store.begin().await?;
        for purpose in purposes {
            turn(&mut tx, master_key, *purpose).await?;
        }
        let held = Held::read(&mut tx, master_key, purposes).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Self::new(held))
    }
}

// === impl KeyTurner ===

impl KeyTurner {
    /// Until shut down; a database that is away only delays it.
    pub async fn run(&self, shutdown: CancellationToken) {
        let forever = async {
            loop {
                if let Err(error) = self.look().await {
                    tracing::warn!(error = ?error, "the installation's keys could not be looked after");
                }
                sleep(PAUSE).await;
            }
        };
        shutdown.run_until_cancelled(forever).await;
    }

    /// Says what this process goes by, does what is to be done, and goes by what is there then.
    ///
    /// # Errors
    /// When the database cannot be asked, or a key does not open.
    pub async fn look(&self) -> Result<(), InstallationKeysError> {
        let before = self.keys.held();
        let mut tx = self.store.begin().await?;
        let (known, signing) = (before.known(), before.signing());
        installation_keys::tell(&mut tx, self.control, &known, &signing, &self.master_key).await?;
        for purpose in &self.purposes {
            turn(&mut tx, &self.master_key, *purpose).await?;
        }
        let held = Held::read(&mut tx, &self.master_key, &self.purposes).await?;
        tx.commit().await.map_err(StoreError::from)?;
        if held != *before {
            self.keys.replace(held);
            self.news.all_changed();
            installation_keys::announce(&mut *self.store.connection().await?).await?;
        }
        Ok(())
    }
}

/// The keys of a purpose and what everybody says of them, for an operator.
///
/// # Errors
/// When the database cannot be asked, or a key does not open.
pub async fn show(
    connection: &mut PgConnection,
    master_key: &MasterKey,
    purpose: Purpose,
) -> Result<(Vec<TurningKey>, KeyStanding), InstallationKeysError> {
    let keys = turning(secrets::list_control_keys(connection, master_key, purpose.name()).await?);
    let said = installation_keys::sayings(connection).await?;
    let standing = standing(purpose, &keys, &said, Utc::now());
    Ok((keys, standing))
}

/// Whatever can be done now for keys of this purpose.
async fn turn(
    connection: &mut PgConnection,
    master_key: &MasterKey,
    purpose: Purpose,
) -> Result<(), InstallationKeysError> {
    let now = installation_keys::hold(connection).await?;
    for _ in 0..STEPS {
        let keys = turning(secrets::list_control_keys(connection, master_key, purpose.name()).await?);
        if !key_turn::is_turning(&keys, now) {
            return Ok(());
        }
        let said = installation_keys::sayings(connection).await?;
        let standing = standing(purpose, &keys, &said, now);
        let Some(step) = key_turn::turn(purpose.name(), &keys, &standing, now) else {
            return Ok(());
        };
        carry_out(connection, master_key, purpose, step).await?;
    }
    Ok(())
}

async fn carry_out(
    connection: &mut PgConnection,
    master_key: &MasterKey,
    purpose: Purpose,
    step: KeyStep,
) -> Result<(), InstallationKeysError> {
    let (action, name) = match step {
        KeyStep::Make { name, signs } => {
            let fresh = purpose.fresh()?;
            secrets::ensure_control_key(connection, master_key, &name, &fresh).await?;
            if signs {
                installation_keys::begin_signing(connection, &name).await?;
            }
            tracing::info!(key.name = name, signs, "a key of the installation was made");
            ("installation_key.make", name)
        }
        KeyStep::Sign { name, unaware } => {
            if unaware > 0 {
                tracing::warn!(
                    key.name = name,
                    unaware,
                    "a key of the installation is used before everybody knows it: who does not answer is not waited for longer"
                );
            }
            installation_keys::begin_signing(connection, &name).await?;
            tracing::info!(
                key.name = name,
                "another key of the installation is used from now on"
            );
            ("installation_key.use", name)
        }
        KeyStep::Forget { name, behind } => {
            if behind > 0 {
                tracing::warn!(
                    key.name = name,
                    behind,
                    "a key of the installation is forgotten while somebody may still go by it"
                );
            }
            secrets::remove_control_key(connection, &name).await?;
            tracing::info!(key.name = name, "a key of the installation is believed no more");
            ("installation_key.remove", name)
        }
    };
    besides(action)
        .on(Target::new("installation_key", name, None))
        .done(connection, By::system(None), Change::none())
        .await?;
    Ok(())
}
