//! What this process goes by now: read from the database at each look, shared with all who hand it out.

use std::sync::{Arc, PoisonError, RwLock};

use secrecy::ExposeSecret as _;
use updraft_authz::{PublicKey, SigningKey};
use updraft_store::PgConnection;
use updraft_store::secrets::{self, ControlKey, MasterKey};

use super::{InstallationKeysError, Purpose};
use crate::tunnels::{Authority, TokenKey};

/// The keys that are good now. Cheap to clone, and the same in every clone.
#[derive(Clone)]
pub struct InstallationKeys(Arc<RwLock<Arc<Held>>>);

/// Of each purpose the oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Held {
    airflow: Vec<Turn<SigningKey>>,
    authorities: Vec<Turn<Authority>>,
    tokens: Vec<Turn<TokenKey>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Turn<K> {
    name: String,
    signs: bool,
    key: K,
}

// === impl InstallationKeys ===

impl InstallationKeys {
    pub(super) fn new(held: Held) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(held))))
    }

    /// One key for ever.
    #[must_use]
    pub fn fixed(airflow: SigningKey) -> Self {
        let airflow = Turn {
            name: airflow.kid.clone(),
            signs: true,
            key: airflow,
        };
        Self::new(Held {
            airflow: vec![airflow],
            ..Held::default()
        })
    }

    /// What edges sign with, for Airflow. None: there is none yet.
    #[must_use]
    pub fn airflow_signing(&self) -> Option<SigningKey> {
        signing(&self.held().airflow).map(|turn| turn.key.clone())
    }

    /// What web nodes' Airflow believes.
    #[must_use]
    pub fn airflow_believed(&self) -> Vec<PublicKey> {
        let held = self.held();
        held.airflow
            .iter()
            .map(|turn| turn.key.public().clone())
            .collect()
    }

    /// Under which authority edges' certificates for tunnels are to be. None: there are no tunnels.
    #[must_use]
    pub fn tunnel_authority(&self) -> Option<String> {
        signing(&self.held().authorities).map(|turn| turn.name.clone())
    }

    /// The same with its name.
    pub(crate) fn issuing(&self) -> Option<(String, Authority)> {
        signing(&self.held().authorities).map(|turn| (turn.name.clone(), turn.key.clone()))
    }

    /// What agents believe edges' certificates from, PEM.
    pub(crate) fn authorities_believed(&self) -> String {
        let held = self.held();
        held.authorities
            .iter()
            .map(|turn| turn.key.cert_pem.as_str())
            .collect()
    }

    /// That web nodes' tokens for tunnels are worked out from. None: there are no tunnels.
    pub(crate) fn token_used(&self) -> Option<TokenKey> {
        signing(&self.held().tokens).map(|turn| turn.key.clone())
    }

    /// That edges admit tokens of.
    pub(crate) fn tokens_admitted(&self) -> Vec<TokenKey> {
        self.held().tokens.iter().map(|turn| turn.key.clone()).collect()
    }

    /// Their names.
    #[must_use]
    pub fn token_names(&self) -> Vec<String> {
        names(&self.held().tokens).collect()
    }

    /// Names of all that web nodes are told to believe, and of the one that their tokens are of.
    pub(crate) fn given_to_nodes(&self) -> Vec<String> {
        let held = self.held();
        let token = signing(&held.tokens).map(|turn| turn.name.clone());
        let believed = names(&held.airflow).chain(names(&held.authorities));
        believed.chain(token).collect()
    }

    pub(super) fn held(&self) -> Arc<Held> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, held: Held) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(held);
    }
}

// === impl Held ===

impl Held {
    pub(super) async fn read(
        connection: &mut PgConnection,
        master_key: &MasterKey,
        purposes: &[Purpose],
    ) -> Result<Self, InstallationKeysError> {
        let mut held = Self::default();
        for purpose in purposes {
            let kept = secrets::list_control_keys(connection, master_key, purpose.name()).await?;
            match purpose {
                Purpose::Airflow => held.airflow = read(kept, signing_key)?,
                Purpose::TunnelAuthority => held.authorities = read(kept, Authority::read)?,
                Purpose::TunnelToken => held.tokens = read(kept, TokenKey::read)?,
            }
        }
        Ok(held)
    }

    /// Names of all keys that others are told to believe.
    pub(super) fn known(&self) -> Vec<String> {
        let all = names(&self.airflow).chain(names(&self.authorities));
        all.chain(names(&self.tokens)).collect()
    }

    /// Names of the keys that are used.
    pub(super) fn signing(&self) -> Vec<String> {
        let used = [
            signing(&self.airflow).map(|turn| &turn.name),
            signing(&self.authorities).map(|turn| &turn.name),
            signing(&self.tokens).map(|turn| &turn.name),
        ];
        used.into_iter().flatten().cloned().collect()
    }
}

fn names<K>(turns: &[Turn<K>]) -> impl Iterator<Item = String> {
    turns.iter().map(|turn| turn.name.clone())
}

fn signing<K>(turns: &[Turn<K>]) -> Option<&Turn<K>> {
    turns.iter().rev().find(|turn| turn.signs)
}

fn read<K>(
    kept: Vec<ControlKey>,
    parse: impl Fn(&ControlKey) -> Option<K>,
) -> Result<Vec<Turn<K>>, InstallationKeysError> {
    kept.into_iter()
        .map(|kept| match parse(&kept) {
            Some(key) => Ok(Turn {
                signs: kept.signs_since.is_some(),
                name: kept.name,
                key,
            }),
            None => Err(InstallationKeysError::Damaged { name: kept.name }),
        })
        .collect()
}

fn signing_key(kept: &ControlKey) -> Option<SigningKey> {
    let mut seed = [0; 32];
    hex::decode_to_slice(kept.secret.expose_secret(), &mut seed).ok()?;
    SigningKey::from_seed(kept.name.clone(), &seed).ok()
}
