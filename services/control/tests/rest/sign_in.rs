//! Sign-in by password, its limits, and the life of a session.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::ConnectInfo;
use serde_json::{Value, json};
use updraft_app::SignInQuota;
use updraft_model::TenantRole;

use crate::support::{Answer, PASSWORD, Someone, World, request};

async fn sign_in(world: &World, email: &str, password: &str) -> Answer {
    world
        .send(request("POST", "/sessions").json(&json!({"email": email, "password": password})))
        .await
}

#[tokio::test]
async fn a_token_works_until_sign_out() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let signed_in = sign_in(&world, &owner.email, PASSWORD).await.must_be(201);
    let token = signed_in["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("upd_s_") && token.len() == 49);
    let again = Someone { token, ..owner };
    let me = world.get(&again, "/me").await.must_be(200);
    assert_eq!(me, signed_in["me"]);
    assert_eq!(me["tenant_name"], "acme");
    world.delete(&again, "/sessions/current").await.must_be(204);
    assert_eq!(world.get(&again, "/me").await.problem(401), "not-signed-in");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_answered_alike() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let strip = |answer: Answer| {
        let mut problem = answer.must_be(401);
        problem.as_object_mut().unwrap().remove("request_id");
        problem
    };
    let wrong = strip(sign_in(&world, &owner.email, "not the password").await);
    let unknown = strip(sign_in(&world, "nobody@example.com", PASSWORD).await);
    assert_eq!(wrong, unknown);
    assert_eq!(wrong["type"], "urn:updraft:problem:wrong-credentials");
}

#[tokio::test]
async fn guessing_is_limited_per_account_and_per_address() {
    let quota = SignInQuota {
        account_burst: NonZeroU32::new(3).unwrap(),
        account_refill: Duration::from_secs(600),
        address_burst: NonZeroU32::new(6).unwrap(),
        address_refill: Duration::from_secs(600),
    };
    let world = World::with_sign_in_quota(quota).await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let from = async |address: [u8; 4], email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        let mut asked = request("POST", "/sessions").json(&body);
        asked
            .extensions_mut()
            .insert(ConnectInfo(std::net::SocketAddr::from((address, 4000))));
        world.send(asked).await
    };
    for n in 1..=3 {
        assert_eq!(
            from([192, 0, 2, n], &owner.email, "a wrong guess")
                .await
                .problem(401),
            "wrong-credentials"
        );
    }
    // Also with the right password: whoever guesses must not learn that it is.
    let refused = from([192, 0, 2, 4], &owner.email, PASSWORD).await;
    assert_eq!(refused.problem(429), "too-many-tries");
    let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((500..=601).contains(&seconds), "{seconds}");

    for n in 1..=6 {
        let email = format!("someone{n}@example.com");
        from([198, 51, 100, 1], &email, "a wrong guess")
            .await
            .problem(401);
    }
    assert_eq!(
        from([198, 51, 100, 1], "else@example.com", "x")
            .await
            .problem(429),
        "too-many-tries"
    );
    assert_eq!(
        from([198, 51, 100, 2], "else@example.com", "x")
            .await
            .problem(401),
        "wrong-credentials"
    );
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_the_old_password() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let here = world.someone(tenant, TenantRole::Member).await;
    let hour = chrono::Duration::hours(1);
    let there = world.session(tenant, here.user, here.email.clone(), hour).await;
    let change = |body: Value| world.send(request("PUT", "/me/password").bearer(&here).json(&body));

    let new = "an even longer one";
    assert_eq!(
        change(json!({"current": "wrong", "new": new}))
            .await
            .refused_field(422),
        "current"
    );
    assert_eq!(
        change(json!({"current": PASSWORD, "new": "short"}))
            .await
            .refused_field(422),
        "new"
    );
    change(json!({"current": PASSWORD, "new": new}))
        .await
        .must_be(204);

    world.get(&here, "/me").await.must_be(200);
    assert_eq!(world.get(&there, "/me").await.problem(401), "not-signed-in");
    assert_eq!(
        sign_in(&world, &here.email, PASSWORD).await.problem(401),
        "wrong-credentials"
    );
    sign_in(&world, &here.email, new).await.must_be(201);
}

#[tokio::test]
async fn no_answer_and_no_row_holds_a_token_or_password() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let hash = updraft_sso::sha256(owner.token.as_bytes());
    let mut tx = world.tx().await;
    let found = updraft_store::sessions::find_by_token(&mut tx, &hash, chrono::Utc::now())
        .await
        .unwrap();
    assert_eq!(found.unwrap().id, owner.session);
    let record = updraft_store::people::password_record(&mut tx, &owner.email)
        .await
        .unwrap()
        .unwrap();
    assert!(record.password_hash.unwrap().starts_with("$argon2id$"));
}
