//! Whether another agent that failed on a node goes on to the nodes of others.
//!
//! What a node says of itself is its tenant's word: whoever has a node could keep everybody else from a new agent for ever. So a
//! failure leaves its own cluster alone with the agent that it has; for all it counts once nodes of two tenants failed, or one in the
//! cluster that the installation chose to go first.

use std::collections::HashSet;

use updraft_model::{ClusterId, TenantId};

/// A cluster with a node that could not be given the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentFailure {
    pub tenant: TenantId,
    pub cluster: ClusterId,
}

/// Whether nobody else is to be given it. `tenants` have nodes; where it is one alone, its word is enough.
#[must_use]
pub fn stops_for_all(failures: &[AgentFailure], tenants: usize, first: Option<ClusterId>) -> bool {
    let failed: HashSet<_> = failures.iter().map(|failure| failure.tenant).collect();
    let is_first = failures.iter().any(|failure| Some(failure.cluster) == first);
    is_first || failed.len() >= tenants.clamp(1, 2)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn of(tenant: u128, cluster: i64) -> AgentFailure {
        AgentFailure {
            tenant: TenantId(Uuid::from_u128(tenant)),
            cluster: ClusterId(cluster),
        }
    }

    #[test]
    fn one_tenants_nodes_stop_nothing_for_others_and_two_tenants_do() {
        assert!(!stops_for_all(&[], 5, None));
        assert!(!stops_for_all(&[of(1, 1), of(1, 2), of(1, 3)], 5, None));
        assert!(stops_for_all(&[of(1, 1), of(2, 4)], 5, None));
    }

    #[test]
    fn the_only_tenants_word_is_enough() {
        assert!(stops_for_all(&[of(1, 1)], 1, None));
        assert!(!stops_for_all(&[of(1, 1)], 2, None));
    }

    #[test]
    fn the_cluster_that_goes_first_stops_it_for_all() {
        assert!(stops_for_all(&[of(1, 7)], 5, Some(ClusterId(7))));
        assert!(!stops_for_all(&[of(1, 8)], 5, Some(ClusterId(7))));
    }
}
