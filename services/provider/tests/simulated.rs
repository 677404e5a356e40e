//! The simulated provider obeys the laws, quick or slow.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use updraft_model::{ClusterId, NodeId};
use updraft_provider::NodeProvider;
use updraft_provider::contract::{Subject, check};
use updraft_provider::simulated::{Faults, SimulatedProvider};
use uuid::Uuid;

struct Simulation(SimulatedProvider, AtomicU32);

#[async_trait]
impl Subject for Simulation {
    fn provider(&self) -> &dyn NodeProvider {
        &self.0
    }

    fn fresh_node(&self) -> NodeId {
        NodeId(Uuid::from_u128(u128::from(
            self.1.fetch_add(1, Ordering::Relaxed),
        )))
    }

    async fn pass_time(&self) {
        self.0.tick();
    }
}

#[tokio::test]
async fn the_perfect_simulation_obeys_the_laws() {
    let subject = Simulation(SimulatedProvider::perfect().with_networks(), AtomicU32::new(1));
    check(&subject, ClusterId(1), ClusterId(2)).await.unwrap();
    assert!(subject.0.live().is_empty() && subject.0.networks().is_empty());
}

#[tokio::test]
async fn the_slow_and_late_simulation_obeys_the_laws() {
    let faults = Faults {
        slow: 3,
        listed_after: 2,
        ..Faults::default()
    };
    let subject = Simulation(
        SimulatedProvider::new(7, faults, Duration::from_secs(5)).with_networks(),
        AtomicU32::new(1),
    );
    check(&subject, ClusterId(1), ClusterId(2)).await.unwrap();
    assert!(subject.0.live().is_empty() && subject.0.networks().is_empty());
}
