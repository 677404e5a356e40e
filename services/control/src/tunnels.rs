//! What control gives both ends of tunnels: agents the authority to believe and a token, edges the token's digest and a
//! certificate.
//!
//! A node's token is worked out from the installation's key and the node's id, so every control process knows it and none
//! keeps it. It is good for nothing but this node's tunnels, and only while the node is its cluster's web node.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Datelike as _, Days, Utc};
use hmac::{Hmac, Mac as _};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use updraft_api::tunnel::{TUNNEL_SERVER_NAME, TunnelAssignment, TunnelCertificate, TunnelGuest};
use updraft_authz::TokenHash;
use updraft_model::{EdgeId, NodeId};
use updraft_store::secrets::{self, ControlKey, MasterKey, SecretError};
use updraft_store::{Store, StoreError};

use crate::installation_keys::InstallationKeys;

const TOKEN_KEY: &str = "tunnel-token";
/// Of an edge's certificate: a leaked key is of use for so long, and control may be away for the most of it.
const DAYS: u64 = 30;
const RENEW_AFTER_S: u64 = 10 * 24 * 60 * 60;
/// The port of a web node's Airflow.
const AIRFLOW_PORT: u16 = 8080;

/// The installation's tunnels: there if its edges reach web nodes through them.
pub struct Tunnels {
    address: String,
    /// The authorities of edges' certificates are among them.
    keys: InstallationKeys,
    /// Keyed with the installation's own.
    tokens: Hmac<Sha256>,
}

#[derive(Debug, Error)]
pub enum TunnelsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the tunnels' certificates could not be made")]
    Certificate(#[from] rcgen::Error),
    #[error("the key of tunnels' tokens has no length")]
    TokenKey,
    #[error("the tunnels' authority cannot be written down")]
    Kept(#[source] serde_json::Error),
    #[error("there is no authority for tunnels' certificates")]
    NoAuthority,
}

/// Kept as one secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Authority {
    pub(crate) cert_pem: String,
    key_pem: String,
}

// === impl Tunnels ===

impl Tunnels {
    /// Makes the keys at the first start. Agents dial `address`: the edges, or a TCP balancer before them.
    ///
    /// # Errors
    /// When the database cannot be asked, or a key does not open.
    pub async fn open(
        store: &Store,
        key: &MasterKey,
        address: String,
        keys: InstallationKeys,
    ) -> Result<Arc<Self>, TunnelsError> {
        let mut connection = store.connection().await?;
        let fresh = secrets::random_token();
        let token_key = secrets::ensure_control_key(&mut connection, key, TOKEN_KEY, &fresh).await?;
        drop(connection);
        Ok(Arc::new(Self {
            address,
            keys,
            tokens: <Hmac<Sha256> as hmac::Mac>::new_from_slice(token_key.expose_secret().as_bytes())
                .map_err(|_| TunnelsError::TokenKey)?,
        }))
    }

    /// What the agent of a web node dials.
    #[must_use]
    pub fn assignment(&self, node: NodeId, edges: BTreeSet<EdgeId>) -> TunnelAssignment {
        TunnelAssignment {
            address: self.address.clone(),
            server_name: TUNNEL_SERVER_NAME.to_owned(),
            ca_pem: self.keys.authorities_believed(),
            token: self.token(node),
            edges,
            port: AIRFLOW_PORT,
        }
    }

    /// By what edges know that node.
    #[must_use]
    pub fn guest(&self, node: NodeId) -> TunnelGuest {
        let digest = Sha256::digest(self.token(node).expose_secret());
        TunnelGuest {
            node,
            token_sha256: TokenHash(digest.into()),
        }
    }

    /// For one edge, good for a while from `now`.
    ///
    /// # Errors
    /// When there is no authority, or its own key cannot be read.
    pub fn certificate(&self, now: DateTime<Utc>) -> Result<TunnelCertificate, TunnelsError> {
        let (name, authority) = self.keys.issuing().ok_or(TunnelsError::NoAuthority)?;
        let issuer_key = KeyPair::from_pem(&authority.key_pem)?;
        let issuer = Issuer::from_ca_cert_pem(&authority.cert_pem, issuer_key)?;
        let key = KeyPair::generate()?;
        let mut params = named(TUNNEL_SERVER_NAME, vec![TUNNEL_SERVER_NAME.to_owned()])?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let part = |number: u32| u8::try_from(number).unwrap_or(1);
        let day = |at: DateTime<Utc>| date_time_ymd(at.year(), part(at.month()), part(at.day()));
        // Clocks differ.
        params.not_before = day(now - Days::new(1));
        params.not_after = day(now + Days::new(DAYS));
        Ok(TunnelCertificate {
            cert_pem: params.signed_by(&key, &issuer)?.pem(),
            key_pem: key.serialize_pem().into(),
            renew_after_s: RENEW_AFTER_S,
            authority: Some(name),
        })
    }

    fn token(&self, node: NodeId) -> SecretString {
        let mut mac = self.tokens.clone();
        mac.update(node.0.as_bytes());
        hex::encode(mac.finalize().into_bytes()).into()
    }
}

// === impl Authority ===

impl Authority {
    pub(crate) fn generate() -> Result<Self, TunnelsError> {
        let key = KeyPair::generate()?;
        let mut params = named("Updraft tunnels", Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self {
            cert_pem: params.self_signed(&key)?.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    pub(crate) fn kept(&self) -> Result<SecretString, TunnelsError> {
        serde_json::to_string(self)
            .map(Into::into)
            .map_err(TunnelsError::Kept)
    }

    pub(crate) fn read(kept: &ControlKey) -> Option<Self> {
        serde_json::from_str(kept.secret.expose_secret()).ok()
    }
}

// The key is never printed.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn named(common_name: &str, names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}
