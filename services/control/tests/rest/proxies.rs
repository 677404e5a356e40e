//! Where somebody asks from, behind balancers: what limits and the audit log go by.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::ConnectInfo;
use serde_json::json;
use updraft_app::SignInQuota;
use updraft_authz::TrustedProxy;
use updraft_control::proxies::behind;
use updraft_store::audit_log::{self, Filter};

use crate::support::{Answer, PASSWORD, World, request};

const BALANCER: [u8; 4] = [10, 0, 1, 9];

/// A world behind balancers in 10.0.1.0/24, where an address may try often before it is refused.
async fn world(tries_of_an_address: u32) -> World {
    let mut world = World::with_sign_in_quota(SignInQuota {
        account_burst: NonZeroU32::new(100).unwrap(),
        account_refill: Duration::from_secs(600),
        address_burst: NonZeroU32::new(tries_of_an_address).unwrap(),
        address_refill: Duration::from_secs(600),
    })
    .await;
    let balancers: TrustedProxy = "10.0.1.0/24".parse().unwrap();
    world.router = behind([balancers].into_iter().collect(), world.router.clone());
    world
}

async fn sign_in(world: &World, peer: [u8; 4], lines: &[&str], email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    let asked = lines.iter().fold(request("POST", "/sessions"), |asked, line| {
        asked.header("x-forwarded-for", line)
    });
    let mut asked = asked.json(&body);
    let peer = ConnectInfo(SocketAddr::from((peer, 4000)));
    asked.extensions_mut().insert(peer);
    world.send(asked).await
}

#[tokio::test]
async fn the_audit_log_has_whom_a_balancer_asked_for() {
    let world = world(100).await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let rows: [([u8; 4], &[&str], &str); 7] = [
        (BALANCER, &["203.0.113.5"], "203.0.113.5"),
        (BALANCER, &["6.6.6.6", "203.0.113.5:567, 10.0.1.3"], "203.0.113.5"),
        (BALANCER, &["[2001:db8::5]:567"], "2001:db8::5"),
        (BALANCER, &["unknown"], "10.0.1.9"),
        (BALANCER, &[], "10.0.1.9"),
        ([203, 0, 113, 6], &["6.6.6.6"], "203.0.113.6"),
        ([203, 0, 113, 6], &["6.6.6.6, 10.0.1.9"], "203.0.113.6"),
    ];
    for (peer, lines, expected) in rows {
        let answer = sign_in(&world, peer, lines, &owner.email, PASSWORD).await;
        answer.must_be(201);
        let mut tx = world.tx().await;
        let every = Filter::default();
        let newest = audit_log::list_before(&mut tx, Some(tenant), &every, None, 1);
        let found = newest.await.unwrap().remove(0).entry.address;
        assert_eq!(
            found,
            Some(expected.parse::<IpAddr>().unwrap()),
            "{peer:?} {lines:?}"
        );
    }
}

#[tokio::test]
async fn limits_are_each_clients_own_and_no_header_escapes_them() {
    let world = world(2).await;
    let guess =
        async |peer, lines: &[&str]| sign_in(&world, peer, lines, "ada@example.com", "a wrong guess").await;
    for tries in [["203.0.113.5"], ["6.6.6.6, 203.0.113.5"]] {
        assert_eq!(guess(BALANCER, &tries).await.problem(401), "wrong-credentials");
    }
    for again in [
        "203.0.113.5",
        "7.7.7.7, 203.0.113.5",
        "203.0.113.6, 203.0.113.5:99",
    ] {
        assert_eq!(
            guess(BALANCER, &[again]).await.problem(429),
            "too-many-tries",
            "{again}"
        );
    }
    assert_eq!(
        guess(BALANCER, &["203.0.113.6"]).await.problem(401),
        "wrong-credentials",
        "somebody else behind the same balancer"
    );
    let direct = [203, 0, 113, 7];
    for made_up in ["8.8.8.1", "8.8.8.2"] {
        assert_eq!(guess(direct, &[made_up]).await.problem(401), "wrong-credentials");
    }
    assert_eq!(guess(direct, &["8.8.8.3"]).await.problem(429), "too-many-tries");
}
