//! Two tenants that name everything alike see nothing of one another.

use serde_json::json;
use updraft_model::TenantRole;

use crate::support::World;

#[tokio::test]
async fn the_same_names_in_two_tenants_are_different_things() {
    let world = World::new().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let (ada, bob) = (world.owner(a).await, world.owner(b).await);
    let ours = world.cluster(&ada, "demo").await;
    let theirs = world.cluster(&bob, "demo").await;
    assert_ne!(ours, theirs);

    for (who, own, other) in [(&ada, ours, theirs), (&bob, theirs, ours)] {
        let listed = world.get(who, "/clusters").await.must_be(200);
        let ids: Vec<_> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["id"].as_i64().unwrap())
            .collect();
        assert_eq!(ids, [own.0]);
        for path in ["", "/nodes", "/services", "/operations", "/events", "/grants"] {
            let answer = world.get(who, &format!("/clusters/{other}{path}")).await;
            assert_eq!(answer.problem(404), "cluster-not-found", "{path}");
        }
    }
}

#[tokio::test]
async fn a_cluster_of_another_tenant_is_answered_like_one_that_never_was() {
    let world = World::new().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let (ada, bob) = (world.owner(a).await, world.owner(b).await);
    world.cluster(&ada, "demo").await;
    let strip = |mut problem: serde_json::Value| {
        problem.as_object_mut().unwrap().remove("request_id");
        problem
    };
    let other = strip(world.post(&bob, "/clusters/1/stop", json!({})).await.must_be(404));
    let never = strip(
        world
            .post(&bob, "/clusters/99/stop", json!({}))
            .await
            .must_be(404),
    );
    assert_eq!(other, never);
}

#[tokio::test]
async fn nobody_is_given_a_role_in_another_tenant() {
    let world = World::new().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let ada = world.owner(a).await;
    let bert = world.someone(b, TenantRole::Member).await;
    world.cluster(&ada, "demo").await;
    let path = format!("/clusters/1/grants/{}", bert.user);
    let asked = crate::support::request("PUT", &path)
        .bearer(&ada)
        .json(&json!({"role": "user"}));
    assert_eq!(world.send(asked).await.problem(404), "person-not-found");
    assert_eq!(
        world
            .delete(&ada, &format!("/people/{}", bert.user))
            .await
            .problem(404),
        "person-not-found"
    );
}
