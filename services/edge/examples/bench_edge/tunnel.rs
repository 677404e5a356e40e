//! Both ends' credentials of a tunnel, and the far end.

use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use updraft_api::tunnel::{TUNNEL_SERVER_NAME, TunnelAssignment, TunnelCertificate};
use updraft_model::NodeId;
use updraft_tunnel::{FarEnd, FarSettings, Pace};
use uuid::Uuid;

pub(crate) const NODE: NodeId = NodeId(Uuid::from_u128(4));

/// Tunnels as an agent keeps them, until killed.
pub(crate) async fn agent(file: &str, target: SocketAddr) {
    let assignment: TunnelAssignment = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let settings = FarSettings {
        node: NODE,
        address: assignment.address,
        server_name: assignment.server_name,
        ca_pem: assignment.ca_pem,
        token: assignment.token,
        edges: assignment.edges,
        target,
    };
    let _far = FarEnd::start(settings, Pace::default());
    std::future::pending::<()>().await;
}

/// The edge's certificate, and what the agent has to know.
pub(crate) fn credentials(address: SocketAddr) -> (TunnelCertificate, TunnelAssignment) {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca_pem = params.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![TUNNEL_SERVER_NAME.to_owned()]).unwrap();
    let cert = leaf.signed_by(&key, &Issuer::new(params, authority_key)).unwrap();
    let certificate = TunnelCertificate {
        cert_pem: cert.pem(),
        key_pem: key.serialize_pem().into(),
        renew_after_s: 86400,
        authority: None,
    };
    let assignment = TunnelAssignment {
        address: address.to_string(),
        server_name: TUNNEL_SERVER_NAME.to_owned(),
        ca_pem,
        token: Uuid::new_v4().to_string().into(),
        edges: [].into(),
        port: 0,
    };
    (certificate, assignment)
}
