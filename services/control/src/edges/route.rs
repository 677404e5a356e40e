//! Where an edge sends who asks for a cluster, and what it says when there is nowhere. Pure.

use std::net::IpAddr;

use updraft_api::edge::{Route, RouteState, Upstream};
use updraft_model::Phase;
use updraft_store::routes::RoutedCluster;

use super::SnapshotSettings;

/// The port of a web node's Airflow.
const AIRFLOW_PORT: u16 = 8080;

pub(super) fn route(cluster: &RoutedCluster, settings: &SnapshotSettings) -> Route {
    let tunnels = settings.tunnels.as_deref();
    let web_node = cluster.web_nodes.first();
    Route {
        cluster: cluster.facts.id,
        tenant: cluster.tenant,
        host: (settings.host_of)(cluster.tenant, cluster.facts.id),
        state: route_state(cluster, tunnels.is_some()),
        tunnel: tunnels
            .zip(web_node)
            .and_then(|(tunnels, node)| tunnels.guest(*node)),
        tells_uses: cluster.stops_when_idle,
        name: cluster.name.clone(),
        runtime: cluster.runtime.clone(),
    }
}

/// How its first web node is reached.
fn upstream(cluster: &RoutedCluster, through_tunnels: bool) -> Option<Upstream> {
    if through_tunnels {
        let node = cluster.web_nodes.first()?;
        return Some(Upstream::Tunnel { node: *node });
    }
    if cluster.in_tenants_account {
        // The tenant says which address its nodes have: it may be one of ours, or another tenant's.
        return None;
    }
    let address = cluster.web_addresses.first()?.parse::<IpAddr>().ok()?;
    Some(Upstream::Direct((address, AIRFLOW_PORT).into()))
}

fn route_state(cluster: &RoutedCluster, through_tunnels: bool) -> RouteState {
    let up = || upstream(cluster, through_tunnels);
    let replaced = || RouteState::Starting {
        waiting_for: Some("its web node to be replaced".to_owned()),
    };
    match &cluster.phase {
        Phase::Running | Phase::Degraded { .. } => {
            up().map_or_else(replaced, |upstream| RouteState::Up { upstream })
        }
        // Airflow's pages are there before the last worker is.
        Phase::Starting { waiting_for } => match up() {
            Some(upstream) if cluster.web_running => RouteState::Up { upstream },
            _ => RouteState::Starting {
                waiting_for: waiting_for.clone(),
            },
        },
        Phase::Stopped => RouteState::Stopped,
        Phase::Stopping | Phase::Deleting => RouteState::Stopping,
        Phase::Failed { reason } => RouteState::Failed {
            reason: reason.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use updraft_authz::ClusterFacts;
    use updraft_model::{ClusterId, NodeId, TenantId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_address_in_a_tenants_account_is_never_connected_to() {
        let cluster = |in_tenants_account| RoutedCluster {
            facts: ClusterFacts {
                id: ClusterId(1),
                tags: std::iter::empty::<(String, String)>().collect(),
            },
            tenant: TenantId(Uuid::nil()),
            name: "demo".parse().unwrap(),
            runtime: "airflow-3.3.2".to_owned(),
            phase: Phase::Running,
            web_addresses: vec!["10.0.0.1".to_owned()],
            web_nodes: vec![NodeId(Uuid::nil())],
            web_running: true,
            in_tenants_account,
            stops_when_idle: false,
        };
        assert!(upstream(&cluster(false), false).is_some());
        assert_eq!(upstream(&cluster(true), false), None);
        let through = upstream(&cluster(true), true);
        assert!(matches!(through, Some(Upstream::Tunnel { .. })));
    }
}
