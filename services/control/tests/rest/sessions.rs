//! Sessions are listed and ended: one's own by oneself, anybody's by an owner.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use serde_json::json;
use updraft_model::TenantRole;

use crate::support::{PASSWORD, World, request};

#[tokio::test]
async fn a_session_says_where_it_was_begun_and_when_it_was_used() {
    let world = World::new().await;
    let ada = world.owner(world.tenant("home").await).await;
    let body = json!({"email": ada.email, "password": PASSWORD});
    let asked = request("POST", "/sessions").header("user-agent", "a browser");
    let mut asked = asked.json(&body);
    let from = SocketAddr::from(([192, 0, 2, 7], 40_000));
    asked.extensions_mut().insert(ConnectInfo(from));
    world.send(asked).await.must_be(201);
    let listed = world.get(&ada, "/sessions").await.must_be(200);
    let newest = &listed["items"][0];
    assert_eq!(newest["current"], false);
    assert!(
        newest["user_agent"].as_str().unwrap().starts_with("a browser"),
        "{newest}"
    );
    assert_eq!(newest["address"], "192.0.2.7");
    assert!(newest["provider"].is_null());
    assert_eq!(listed["items"][1]["current"], true);
    assert!(listed["items"][1]["used_at"].is_string());
}

#[tokio::test]
async fn one_ends_ones_own_sessions_and_nobody_elses() {
    let world = World::new().await;
    let home = world.tenant("home").await;
    let (ada, eve) = (
        world.owner(home).await,
        world.owner(world.tenant("away").await).await,
    );
    let bo = world.someone(home, TenantRole::Member).await;
    let hour = chrono::Duration::hours(1);
    let there = world.session(home, bo.user, bo.email.clone(), hour).await;
    let also = world.session(home, bo.user, bo.email.clone(), hour).await;

    for (who, session) in [(&bo, ada.session), (&eve, bo.session), (&eve, there.session)] {
        let answer = world.delete(who, &format!("/sessions/{session}")).await;
        assert_eq!(answer.problem(404), "session-not-found");
    }
    let others = format!("/sessions?user={}", ada.user);
    assert_eq!(world.get(&bo, &others).await.problem(403), "forbidden");
    let strangers = format!("/sessions?user={}", bo.user);
    assert_eq!(world.get(&eve, &strangers).await.problem(404), "person-not-found");

    world
        .delete(&bo, &format!("/sessions/{}", there.session))
        .await
        .must_be(204);
    assert_eq!(world.get(&there, "/me").await.problem(401), "not-signed-in");
    assert_eq!(world.delete(&bo, "/sessions").await.must_be(200)["ended"], 1);
    assert_eq!(world.get(&also, "/me").await.problem(401), "not-signed-in");
    world.get(&bo, "/me").await.must_be(200);

    // An owner ends a member's, all of them.
    assert_eq!(
        world.get(&ada, &strangers).await.must_be(200)["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(world.delete(&ada, &strangers).await.must_be(200)["ended"], 1);
    assert_eq!(world.get(&bo, "/me").await.problem(401), "not-signed-in");
}
