//! What control gives both ends of tunnels: agents the authority to believe and a token, edges the token's digest and a
//! certificate.
//!
//! A node's token is worked out from one of the installation's keys and the node's id, so every control process knows it and none
//! keeps it. While that key turns, edges admit tokens of either. A token is good for nothing but its node's tunnels, and only
//! while the node is its cluster's web node.

use std::collections::BTreeSet;

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
use updraft_store::secrets::ControlKey;

use crate::installation_keys::InstallationKeys;

/// Of an edge's certificate: a leaked key is of use for so long, and control may be away for the most of it.
const DAYS: u64 = 30;
const RENEW_AFTER_S: u64 = 10 * 24 * 60 * 60;
/// The port of a web node's Airflow.
const AIRFLOW_PORT: u16 = 8080;

/// The installation's tunnels: there if its edges reach web nodes through them.
pub struct Tunnels {
    address: String,
    /// The authorities of edges' certificates are among them, and what nodes' tokens are worked out from.
    keys: InstallationKeys,
}

#[derive(Debug, Error)]
pub enum TunnelsError {
    #[error("the tunnels' certificates could not be made")]
    Certificate(#[from] rcgen::Error),
    #[error("the tunnels' authority cannot be written down")]
    Kept(#[source] serde_json::Error),
    #[error("there is no authority for tunnels' certificates")]
    NoAuthority,
}

/// Nodes' tokens are worked out from it.
#[derive(Clone, Debug)]
pub(crate) struct TokenKey {
    secret: SecretString,
    mac: Hmac<Sha256>,
}

/// Kept as one secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Authority {
    pub(crate) cert_pem: String,
    key_pem: String,
}

// === impl Tunnels ===

impl Tunnels {
    /// Agents dial `address`: the edges, or a TCP balancer before them.
    #[must_use]
    pub fn new(address: String, keys: InstallationKeys) -> Self {
        Self { address, keys }
    }

    /// What the agent of a web node dials. None: its token has no key yet.
    #[must_use]
    pub fn assignment(&self, node: NodeId, edges: BTreeSet<EdgeId>) -> Option<TunnelAssignment> {
        Some(TunnelAssignment {
            address: self.address.clone(),
            server_name: TUNNEL_SERVER_NAME.to_owned(),
            ca_pem: self.keys.authorities_believed(),
            token: self.keys.token_used()?.token(node),
            edges,
            port: AIRFLOW_PORT,
        })
    }

    /// By what edges know that node: by its token of now, and by those of other keys as long as they are good.
    #[must_use]
    pub fn guest(&self, node: NodeId) -> Option<TunnelGuest> {
        let digest = |key: &TokenKey| TokenHash(Sha256::digest(key.token(node).expose_secret()).into());
        let used = digest(&self.keys.token_used()?);
        let all = self.keys.tokens_admitted();
        Some(TunnelGuest {
            node,
            token_sha256: used,
            others_sha256: all.iter().map(digest).filter(|other| *other != used).collect(),
        })
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
}

// === impl TokenKey ===

impl TokenKey {
    pub(crate) fn read(kept: &ControlKey) -> Option<Self> {
        let secret = kept.secret.clone();
        let mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
        Some(Self { secret, mac })
    }

    fn token(&self, node: NodeId) -> SecretString {
        let mut mac = self.mac.clone();
        mac.update(node.0.as_bytes());
        hex::encode(mac.finalize().into_bytes()).into()
    }
}

impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret()
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
