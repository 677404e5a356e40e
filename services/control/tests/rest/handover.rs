//! A sign-in carried from the console's host to an Airflow's host.

use updraft_api::edge::RedeemHandover;
use updraft_app::AppError;
use updraft_authz::{Actor, SigningKey, verify_session_token};
use updraft_model::{ClusterRole, TenantRole};
use url::Url;

use crate::support::{Someone, World};

const EDGE: &str = "127.0.0.1:7701";
const BACK: &str = "/airflow-webserver-1/dags?tag=a";

fn binding() -> (String, String) {
    let secret = "what the browser's cookie holds".to_owned();
    let hash = hex::encode(updraft_sso::sha256(secret.as_bytes()));
    (secret, hash)
}

async fn actor(world: &World, who: &Someone) -> Actor {
    world.app.authenticate(&who.token).await.unwrap()
}

async fn world() -> (World, Someone) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    world.cluster(&owner, "demo").await;
    (world, owner)
}

/// The code out of the address the browser is sent to.
async fn code(world: &World, who: &Someone) -> String {
    let url = world
        .app
        .begin_handover(&actor(world, who).await, EDGE, &binding().1, BACK)
        .await
        .unwrap();
    let url = Url::parse(&url).unwrap();
    assert_eq!(
        (url.host_str(), url.port(), url.path()),
        (Some("127.0.0.1"), Some(7701), "/_updraft/handover")
    );
    let pairs: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(pairs["return_to"], BACK);
    pairs["code"].clone()
}

fn redeem(code: &str, host: &str, binding: &str) -> RedeemHandover {
    RedeemHandover {
        code: code.to_owned(),
        host: host.to_owned(),
        binding: binding.to_owned(),
        from: updraft_api::edge::BrowserOrigin::default(),
    }
}

#[tokio::test]
async fn a_code_becomes_a_session_once() {
    let (world, owner) = world().await;
    let code = code(&world, &owner).await;
    let redeemed = world
        .app
        .redeem_handover(redeem(&code, EDGE, &binding().0))
        .await
        .unwrap();
    let key = SigningKey::from_seed("test", &[7; 32]).unwrap();
    let keys = [key.public().clone()];
    let claims = verify_session_token(&keys, &redeemed.session_token, EDGE, chrono::Utc::now()).unwrap();
    assert_eq!(
        (claims.sid, claims.sub, claims.tenant),
        (owner.session, owner.user, owner.tenant)
    );
    assert_eq!(claims.exp, redeemed.expires_at);
    let again = world.app.redeem_handover(redeem(&code, EDGE, &binding().0)).await;
    assert!(matches!(again, Err(AppError::HandoverRefused)));
}

#[tokio::test]
async fn a_code_is_bound_to_host_and_browser_and_spent_by_a_wrong_try() {
    let (world, owner) = world().await;
    for (host, secret) in [
        ("127.0.0.2:7701", binding().0),
        (EDGE, "another browser's".to_owned()),
    ] {
        let code = code(&world, &owner).await;
        let wrong = world.app.redeem_handover(redeem(&code, host, &secret)).await;
        assert!(matches!(wrong, Err(AppError::HandoverRefused)));
        let right = world.app.redeem_handover(redeem(&code, EDGE, &binding().0)).await;
        assert!(matches!(right, Err(AppError::HandoverRefused)));
    }
}

#[tokio::test]
async fn a_code_is_worth_nothing_after_sign_out() {
    let (world, owner) = world().await;
    let code = code(&world, &owner).await;
    world.app.sign_out(&actor(&world, &owner).await).await.unwrap();
    let late = world.app.redeem_handover(redeem(&code, EDGE, &binding().0)).await;
    assert!(matches!(late, Err(AppError::HandoverRefused)));
}

#[tokio::test]
async fn nobody_is_sent_where_they_have_no_role_or_off_the_clusters_host() {
    let (world, owner) = world().await;
    let member = world.someone(owner.tenant, TenantRole::Member).await;
    let stranger = world.owner(world.tenant("other").await).await;
    let begin = async |who: &Someone, host: &str, back: &str| {
        world
            .app
            .begin_handover(&actor(&world, who).await, host, &binding().1, back)
            .await
    };
    for who in [&member, &stranger] {
        assert!(matches!(begin(who, EDGE, BACK).await, Err(AppError::NotFound(_))));
    }
    for (host, back) in [
        ("evil.example", BACK),
        ("127.0.0.2:7701", BACK),
        (EDGE, "/airflow-webserver-2/"),
        (EDGE, "//evil.example/"),
        (EDGE, "https://evil.example/airflow-webserver-1/"),
    ] {
        assert!(
            matches!(begin(&owner, host, back).await, Err(AppError::NotFound(_))),
            "{host} {back}"
        );
    }
    let cluster = updraft_model::ClusterId(1);
    world.grant(&member, cluster, ClusterRole::User).await;
    assert!(begin(&member, EDGE, BACK).await.is_ok());
    let unbound = world
        .app
        .begin_handover(&actor(&world, &owner).await, EDGE, "short", BACK)
        .await;
    assert!(matches!(unbound, Err(AppError::Invalid { field, .. }) if field == "binding"));
}
