//! An installation's certificate authority.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use updraft_tunnel::EdgeIdentity;

pub(crate) const SERVER_NAME: &str = "tunnel.updraft.internal";

pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn ca_pem(&self) -> String {
        self.pem.clone()
    }

    pub(crate) fn identity(&self) -> EdgeIdentity {
        self.identity_named(SERVER_NAME)
    }

    pub(crate) fn identity_named(&self, name: &str) -> EdgeIdentity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        EdgeIdentity::new(&cert.pem(), &key.serialize_pem().into()).unwrap()
    }
}
