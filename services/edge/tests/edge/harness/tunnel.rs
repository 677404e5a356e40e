//! A web node that nothing connects to: the far end of its tunnels, as its agent has it.

use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use secrecy::SecretString;
use updraft_api::edge::{RouteState, Upstream};
use updraft_api::tunnel::{TUNNEL_SERVER_NAME, TunnelCertificate, TunnelGuest};
use updraft_authz::TokenHash;
use updraft_model::NodeId;
use updraft_tunnel::{FarEnd, FarSettings, Pace, TokenDigest};
use uuid::Uuid;

use super::World;

/// The installation's.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

pub(crate) struct WebNode {
    pub(crate) node: NodeId,
    token: SecretString,
}

// === impl Authority ===

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

    /// Both are believed.
    pub(crate) fn and(&self, other: &Self) -> String {
        format!("{}{}", self.pem, other.pem)
    }

    pub(crate) fn pem(&self) -> String {
        self.pem.clone()
    }

    pub(crate) fn certificate(&self) -> TunnelCertificate {
        self.certificate_of(None)
    }

    pub(crate) fn certificate_of(&self, name: Option<&str>) -> TunnelCertificate {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![TUNNEL_SERVER_NAME.to_owned()]).unwrap();
        TunnelCertificate {
            cert_pem: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key_pem: key.serialize_pem().into(),
            renew_after_s: 3600,
            authority: name.map(str::to_owned),
        }
    }
}

// === impl WebNode ===

impl WebNode {
    pub(crate) fn new() -> Self {
        Self {
            node: NodeId(Uuid::new_v4()),
            token: format!("token-{}", Uuid::new_v4()).into(),
        }
    }

    /// Its agent dials the edge.
    pub(crate) fn dial(&self, world: &World, authority: &Authority, target: SocketAddr) -> FarEnd {
        FarEnd::start(self.settings(world, authority.pem(), target), Pace::default())
    }

    pub(crate) fn settings(&self, world: &World, ca_pem: String, target: SocketAddr) -> FarSettings {
        FarSettings {
            node: self.node,
            address: world.config.tunnel_listen.unwrap().to_string(),
            server_name: TUNNEL_SERVER_NAME.to_owned(),
            ca_pem,
            token: self.token.clone(),
            edges: [].into(),
            target,
        }
    }

    /// The cluster's route leads to this node.
    pub(crate) async fn publish(&self, world: &World, cluster: i64) {
        let state = RouteState::Up {
            upstream: Upstream::Tunnel { node: self.node },
        };
        let guest = TunnelGuest {
            node: self.node,
            token_sha256: TokenHash(TokenDigest::of(&self.token).0),
            others_sha256: Vec::new(),
        };
        world
            .publish(|snapshot| {
                let mut routes = snapshot.routes.iter_mut();
                let route = routes.find(|route| route.cluster.0 == cluster).unwrap();
                route.state = state;
                route.tunnel = Some(guest);
            })
            .await;
    }
}
