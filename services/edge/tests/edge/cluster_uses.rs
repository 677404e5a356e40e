//! Which clusters are used here: what control stops idle ones by.

use http::StatusCode;

use crate::harness::{ALICE, World, until};

async fn asks(world: &World, cluster: i64, path: &str) {
    let call = world.get(cluster, path).signed_in(&world.session(ALICE, cluster));
    assert_eq!(call.send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn control_hears_of_the_uses_that_it_wants_to_hear_of() {
    let mut world = World::prepare().await;
    world.config.limits.token_uses = std::time::Duration::from_millis(20);
    world.start_edge().await;
    world
        .publish(|snapshot| {
            for route in &mut snapshot.routes {
                route.tells_uses = route.cluster.0 == 1;
            }
        })
        .await;
    world.control.kill();
    world.until_control_is("unreachable").await;
    asks(&world, 2, "/dags").await;
    let refused = world.get(1, "/dags").send().await;
    assert_ne!(refused.status, StatusCode::OK);
    asks(&world, 1, "/dags").await;
    let used_at = chrono::Utc::now().timestamp();
    world.control.revive().await;
    until("control hears of the use", || async {
        world.control.cluster_used(1).is_some()
    })
    .await;
    assert!((used_at - 60..=used_at).contains(&world.control.cluster_used(1).unwrap()));
    assert_eq!(world.control.cluster_used(2), None, "it does not stop when idle");
}
