//! Certificates with which the nodes of one cluster, and no others, know each other.
//!
//! A node's own lasts for a month, and its agent asks for another one after a third of that: control may be away for weeks. A
//! cluster's authority has no end: its key leaves control for no node, and another one takes its place when all keys of
//! the cluster are turned.

use chrono::{DateTime, Datelike as _, Days, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use updraft_model::{ClusterId, NodeRole};

/// How long a node's certificate is good for.
const LASTS: Days = Days::new(30);
/// After which its agent asks for another: 10 days.
pub(super) const RENEW_AFTER_S: u64 = 10 * 24 * 3600;

/// A cluster's own certificate authority.
pub struct ClusterCa {
    pub cert_pem: String,
    pub key_pem: SecretString,
}

/// One node's certificate and key.
pub struct NodeCertificate {
    pub cert_pem: String,
    pub key_pem: SecretString,
}

#[derive(Debug, Error)]
#[error("the certificate could not be made")]
pub struct CertificateError(#[from] rcgen::Error);

// === impl ClusterCa ===

impl ClusterCa {
    /// # Errors
    /// When the key cannot be generated.
    pub fn generate(cluster: ClusterId) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&format!("Updraft cluster {cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = params.self_signed(&key)?;
        Ok(Self {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem().into(),
        })
    }

    /// A certificate for one node, for both ends of a relay connection: good for a while from `now`, or without an end for an agent
    /// that would not ask for another.
    ///
    /// # Errors
    /// When the CA's own key cannot be read.
    pub fn issue(
        &self,
        cluster: ClusterId,
        role: NodeRole,
        now: Option<DateTime<Utc>>,
    ) -> Result<NodeCertificate, CertificateError> {
        let issuer_key = KeyPair::from_pem(self.key_pem.expose_secret())?;
        let issuer = Issuer::from_ca_cert_pem(&self.cert_pem, issuer_key)?;
        let key = KeyPair::generate()?;
        let name = relay_name(cluster, role);
        let mut params = CertificateParams::new(vec![name.clone()])?;
        params.distinguished_name = common_name(&name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        if let Some(now) = now {
            let part = |number: u32| u8::try_from(number).unwrap_or(1);
            let day = |at: DateTime<Utc>| date_time_ymd(at.year(), part(at.month()), part(at.day()));
            // Clocks differ.
            params.not_before = day(now - Days::new(1));
            params.not_after = day(now + LASTS);
        }
        let cert = params.signed_by(&key, &issuer)?;
        Ok(NodeCertificate {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem().into(),
        })
    }
}

/// The name a node's certificate carries: `scheduler.7.updraft.internal`.
#[must_use]
fn relay_name(cluster: ClusterId, role: NodeRole) -> String {
    format!("{role}.{cluster}.updraft.internal")
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
