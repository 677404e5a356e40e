//! The second factor: each way in that is none, beside the one that is.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};
use totp_rs::{Algorithm, Secret, TOTP};
use updraft_app::SignInQuota;
use updraft_model::TenantRole;

use crate::support::{Answer, PASSWORD, Someone, World, request};

/// Somebody with an authenticator app.
struct Enrolled {
    person: Someone,
    secret: String,
    recovery_codes: Vec<String>,
    /// The step of the code that confirmed it: that one is used.
    used: i64,
}

async fn enrolled(world: &World, person: Someone) -> Enrolled {
    let begun = world.post(&person, "/me/second-factor", Value::Null).await;
    let secret = begun.must_be(201)["secret"].as_str().unwrap().to_owned();
    let wrong = json!({"code": "no code"});
    let path = "/me/second-factor/confirm";
    assert_eq!(world.post(&person, path, wrong).await.refused_field(422), "code");
    let used = step_now();
    let typed = json!({"code": code(&secret, used)});
    let made = world.post(&person, path, typed).await.must_be(200);
    let recovery_codes = serde_json::from_value(made["recovery_codes"].clone()).unwrap();
    Enrolled {
        person,
        secret,
        recovery_codes,
        used,
    }
}

fn step_now() -> i64 {
    Utc::now().timestamp() / 30
}

fn code(secret: &str, step: i64) -> String {
    let bytes = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    let totp = TOTP::new(Algorithm::SHA1, 6, 1, 30, bytes, None, String::new()).unwrap();
    totp.generate(u64::try_from(step * 30).unwrap())
}

async fn sign_in(world: &World, enrolled: &Enrolled, password: &str, code: Option<&str>) -> Answer {
    let body = json!({"email": enrolled.person.email, "password": password, "code": code});
    world.send(request("POST", "/sessions").json(&body)).await
}

#[tokio::test]
async fn signing_in_takes_password_and_code_and_each_code_once() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let ada = enrolled(&world, world.owner(tenant).await).await;
    // Within the skew, also when the half minute ends meanwhile.
    let next = code(&ada.secret, ada.used + 1);
    let sign = async |password: &str, code: Option<&str>| sign_in(&world, &ada, password, code).await;
    assert_eq!(sign(PASSWORD, None).await.problem(401), "code-needed");
    assert_eq!(
        sign("not the password", Some(&next)).await.problem(401),
        "wrong-credentials"
    );
    let replayed = code(&ada.secret, ada.used);
    let old = code(&ada.secret, step_now() - 3);
    let early = code(&ada.secret, step_now() + 3);
    for wrong in ["", "000000", "1234567", &replayed, &old, &early] {
        assert_eq!(
            sign(PASSWORD, Some(wrong)).await.problem(401),
            "wrong-code",
            "{wrong}"
        );
    }
    sign(PASSWORD, Some(&next)).await.must_be(201);
    assert_eq!(sign(PASSWORD, Some(&next)).await.problem(401), "wrong-code");

    let recovery = ada.recovery_codes[0].to_uppercase();
    sign(PASSWORD, Some(&recovery)).await.must_be(201);
    assert_eq!(sign(PASSWORD, Some(&recovery)).await.problem(401), "wrong-code");
    let state = world.get(&ada.person, "/me/second-factor").await.must_be(200);
    assert_eq!(state, json!({"on": true, "recovery_codes_left": 9}));
    let path = "/audit?action=second_factor.confirm";
    let log = world.get(&ada.person, path).await.must_be(200);
    let outcomes: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["outcome"])
        .collect();
    assert_eq!(outcomes, ["done", "refused"], "{log}");
}

#[tokio::test]
async fn codes_cannot_be_guessed_by_who_has_the_password() {
    let world = World::with_sign_in_quota(SignInQuota {
        account_burst: NonZeroU32::new(4).unwrap(),
        account_refill: Duration::from_secs(600),
        address_burst: NonZeroU32::new(10_000).unwrap(),
        address_refill: Duration::from_secs(1),
    })
    .await;
    let tenant = world.tenant("acme").await;
    let ada = enrolled(&world, world.owner(tenant).await).await;
    // Two tries were used up by confirming.
    for _ in 0..2 {
        let refused = sign_in(&world, &ada, PASSWORD, Some("000000")).await;
        assert_eq!(refused.problem(401), "wrong-code");
    }
    // Within the skew, also when the half minute ends meanwhile.
    let next = code(&ada.secret, ada.used + 1);
    let refused = sign_in(&world, &ada, PASSWORD, Some(&next)).await;
    assert_eq!(refused.problem(429), "too-many-tries");
    assert!(refused.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn it_is_taken_away_with_the_password_or_by_an_owner() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let bo = enrolled(&world, world.someone(tenant, TenantRole::Member).await).await;
    let remove = |password: &str| {
        let body = json!({ "password": password });
        let person = bo.person.clone();
        let world = &world;
        async move { world.post(&person, "/me/second-factor/remove", body).await }
    };
    assert_eq!(remove("not the password").await.refused_field(422), "password");
    assert_eq!(
        world
            .post(&bo.person, "/me/second-factor", Value::Null)
            .await
            .problem(409),
        "second-factor-is-on",
        "a stolen session sets up no other"
    );
    sign_in(&world, &bo, PASSWORD, None).await.problem(401);
    remove(PASSWORD).await.must_be(204);
    sign_in(&world, &bo, PASSWORD, None).await.must_be(201);

    let bo = enrolled(&world, bo.person).await;
    let path = format!("/people/{}/second-factor", bo.person.user);
    world.delete(&owner, &path).await.must_be(204);
    sign_in(&world, &bo, PASSWORD, None).await.must_be(201);
    let recovery = bo.recovery_codes[0].as_str();
    sign_in(&world, &bo, PASSWORD, Some(recovery)).await.must_be(201);
}
