//! Certificates with which the nodes of one cluster, and no others, know each other.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use updraft_model::{ClusterId, NodeRole};

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

    /// A certificate for one node, for both ends of a relay connection.
    ///
    /// # Errors
    /// When the CA's own key cannot be read.
    pub fn issue(&self, cluster: ClusterId, role: NodeRole) -> Result<NodeCertificate, CertificateError> {
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
