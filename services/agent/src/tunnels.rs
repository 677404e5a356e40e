//! This node's tunnels to the edges, if its assignment names any: the far end of `updraft-tunnel`, kept as assigned.

use std::net::IpAddr;

use updraft_api::agent::Assignment;
use updraft_api::tunnel::TunnelAssignment;
use updraft_tunnel::{FarEnd, FarSettings, Pace};

/// Tunnels go on whatever else changes; without an assignment there are none.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    open: Option<(FarEnd, TunnelAssignment)>,
}

// === impl Tunnels ===

impl Tunnels {
    /// Dials what the assignment says. It leads to this node's own `address`, and there to a port that a service of the
    /// same assignment offers.
    pub(crate) fn apply(&mut self, assignment: &Assignment, address: IpAddr) {
        let Some(wanted) = assignment
            .tunnel
            .as_ref()
            .filter(|tunnel| offers(assignment, tunnel.port))
        else {
            self.open = None;
            return;
        };
        let settings = FarSettings {
            node: assignment.node,
            address: wanted.address.clone(),
            server_name: wanted.server_name.clone(),
            ca_pem: wanted.ca_pem.clone(),
            token: wanted.token.clone(),
            edges: wanted.edges.clone(),
            target: (address, wanted.port).into(),
        };
        match &mut self.open {
            Some((far, current)) if !current.is_same(wanted) => {
                far.update(settings);
                current.clone_from(wanted);
            }
            Some(_) => {}
            None => self.open = Some((FarEnd::start(settings, Pace::default()), wanted.clone())),
        }
    }
}

fn offers(assignment: &Assignment, port: u16) -> bool {
    assignment
        .services
        .iter()
        .any(|service| service.ports.contains(&port))
}
