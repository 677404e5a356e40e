//! Session keys follow each other without a session being lost.

use url::Url;

use updraft_api::edge::RedeemHandover;
use updraft_authz::verify_session_token;

use crate::support::{Someone, World};

const EDGE: &str = "127.0.0.1:7701";

/// The key that signed a session handed over now, and its token.
async fn signed(world: &World, who: &Someone) -> (String, String) {
    let actor = world.app.authenticate(&who.token).await.unwrap();
    let binding = "a browser".to_owned();
    let hash = hex::encode(updraft_sso::sha256(binding.as_bytes()));
    let url = world
        .app
        .begin_handover(&actor, EDGE, &hash, "/airflow-webserver-1/")
        .await
        .unwrap();
    let url = Url::parse(&url).unwrap();
    let code = url.query_pairs().find(|(name, _)| name == "code").unwrap();
    let redeem = RedeemHandover {
        code: code.1.into_owned(),
        host: EDGE.to_owned(),
        binding,
        from: updraft_api::edge::BrowserOrigin::default(),
    };
    let token = world.app.redeem_handover(redeem).await.unwrap().session_token;
    (kid(&token), token)
}

fn kid(token: &str) -> String {
    use base64::Engine as _;
    let header = token.split('.').next().unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(header)
        .unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn published(world: &World) -> Vec<String> {
    let keys = world.app.config().session_keys.published();
    keys.into_iter().map(|key| key.kid).collect()
}

fn verifies(world: &World, token: &str) -> bool {
    let keys = world.app.config().session_keys.published();
    verify_session_token(&keys, token, EDGE, chrono::Utc::now()).is_ok()
}

/// As if so many minutes had passed.
async fn age(world: &World, minutes: i32) {
    let mut tx = world.tx().await;
    sqlx::query("update control_keys set created_at = created_at - make_interval(mins => $1)")
        .bind(minutes)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    world.app.turn_session_keys().await.unwrap();
}

#[tokio::test]
async fn a_key_is_published_before_it_signs_and_kept_until_its_sessions_are_over() {
    let world = World::new().await;
    let ada = world.owner(world.tenant("acme").await).await;
    world.cluster(&ada, "demo").await;
    world.app.turn_session_keys().await.unwrap();
    assert_eq!(published(&world), ["session"]);
    let (signer, old) = signed(&world, &ada).await;
    assert_eq!(signer, "session");

    age(&world, 30 * 24 * 60).await;
    assert_eq!(published(&world), ["session", "session-2"]);
    assert_eq!(
        signed(&world, &ada).await.0,
        "session",
        "edges hear of the new one first"
    );

    age(&world, 11).await;
    let (signer, new) = signed(&world, &ada).await;
    assert_eq!(signer, "session-2");
    assert!(verifies(&world, &old) && verifies(&world, &new));

    // Another control process finds the same keys.
    world.app.turn_session_keys().await.unwrap();
    assert_eq!(published(&world), ["session", "session-2"]);
    age(&world, 30 * 24 * 60).await;
    assert_eq!(published(&world), ["session-2", "session-3"]);
    assert!(!verifies(&world, &old) && verifies(&world, &new));
}
