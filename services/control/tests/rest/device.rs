//! The device flow (RFC 8628), and what it does not fall for.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::Value;
use updraft_app::{AppError, SignInQuota};
use updraft_model::{TenantRole, TokenLimit};

use crate::support::{Answer, Someone, World, request};

const FORM: &str = "application/x-www-form-urlencoded";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn begin(world: &World) -> (String, String) {
    let asked = request("POST", "/device/authorize").text(FORM, "client_id=updraft+on+laptop");
    let told = world.send(asked).await.must_be(200);
    assert!(told["verification_uri"].as_str().unwrap().ends_with("/device"));
    assert_eq!((&told["interval"], &told["expires_in"]), (&5.into(), &600.into()));
    let text = |key: &str| told[key].as_str().unwrap().to_owned();
    (text("device_code"), text("user_code"))
}

async fn poll(world: &World, device_code: &str) -> Answer {
    let form = format!("grant_type={GRANT}&device_code={device_code}&client_id=x");
    world
        .send(request("POST", "/device/token").text(FORM, &form))
        .await
}

async fn error(world: &World, device_code: &str) -> Value {
    poll(world, device_code).await.must_be(400)["error"].clone()
}

async fn sql(world: &World, statement: &'static str) {
    let mut tx = world.tx().await;
    sqlx::query(statement).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// As if so much time had passed since the device asked last.
async fn later(world: &World) {
    sql(
        world,
        "update device_authorizations set polled_at = polled_at - interval '6 seconds'",
    )
    .await;
}

fn who(world: &World, person: &Someone) -> impl Future<Output = updraft_app::Actor> {
    let (app, token) = (world.app.clone(), person.token.clone());
    async move { app.authenticate(&token).await.unwrap() }
}

#[tokio::test]
async fn a_device_that_was_approved_gets_its_session_once() {
    let world = World::new().await;
    let ada = world.owner(world.tenant("home").await).await;
    let actor = who(&world, &ada).await;
    let (device, user) = begin(&world).await;
    assert_eq!(error(&world, &device).await, "authorization_pending");
    assert_eq!(error(&world, &device).await, "slow_down");
    later(&world).await;
    assert_eq!(error(&world, &device).await, "authorization_pending");

    let typed = user.to_lowercase().replace('-', " ");
    let waiting = world.app.find_device(&actor, &typed, HERE).await.unwrap();
    assert_eq!(waiting.client_name, "updraft on laptop");
    world.app.decide_device(&actor, &typed, true, HERE).await.unwrap();
    let again = world.app.decide_device(&actor, &user, false, HERE).await;
    assert!(matches!(again, Err(AppError::NotFound(_))), "a decision is final");

    let token = poll(&world, &device).await.must_be(200);
    assert_eq!(token["token_type"], "Bearer");
    let laptop = Someone {
        token: token["access_token"].as_str().unwrap().to_owned(),
        ..ada.clone()
    };
    assert_eq!(world.get(&laptop, "/me").await.must_be(200)["email"], ada.email);
    assert_eq!(error(&world, &device).await, "invalid_grant", "replayed");
}

#[tokio::test]
async fn a_device_is_refused_as_the_rfc_says() {
    let world = World::new().await;
    let home = world.tenant("home").await;
    let (ada, bo) = (
        world.owner(home).await,
        world.someone(home, TenantRole::Member).await,
    );
    let actor = who(&world, &bo).await;

    let (denied, user) = begin(&world).await;
    world.app.decide_device(&actor, &user, false, HERE).await.unwrap();
    assert_eq!(error(&world, &denied).await, "access_denied");

    let (orphaned, user) = begin(&world).await;
    world.app.decide_device(&actor, &user, true, HERE).await.unwrap();
    world.delete(&bo, "/sessions/current").await.must_be(204);
    assert_eq!(
        error(&world, &orphaned).await,
        "access_denied",
        "its approver's session ended"
    );

    let (late, user) = begin(&world).await;
    sql(
        &world,
        "update device_authorizations set expires_at = now() - interval '1 second'",
    )
    .await;
    assert_eq!(error(&world, &late).await, "expired_token");
    let actor = who(&world, &ada).await;
    let found = world.app.find_device(&actor, &user, HERE).await;
    assert!(matches!(found, Err(AppError::NotFound(_))));

    for (form, refusal) in [
        (format!("grant_type={GRANT}&device_code=unknown"), "invalid_grant"),
        (format!("grant_type={GRANT}&device_code={user}"), "invalid_grant"),
        (format!("grant_type={GRANT}"), "invalid_request"),
        (
            "grant_type=password&device_code=x".to_owned(),
            "unsupported_grant_type",
        ),
        (String::new(), "invalid_request"),
    ] {
        let answer = world
            .send(request("POST", "/device/token").text(FORM, &form))
            .await;
        assert_eq!(answer.must_be(400)["error"], refusal, "{form}");
    }
    for form in [
        "",
        "client_id=",
        "client_id=%0a",
        &format!("client_id={}", "x".repeat(101)),
    ] {
        let answer = world
            .send(request("POST", "/device/authorize").text(FORM, form))
            .await;
        assert_eq!(answer.must_be(400)["error"], "invalid_request", "{form}");
    }
}

#[tokio::test]
async fn a_token_signs_no_device_in() {
    let world = World::new().await;
    let ada = world.owner(world.tenant("home").await).await;
    let token = world.api_token(&ada, TokenLimit::Full).await;
    let actor = who(&world, &token).await;
    let (device, user) = begin(&world).await;
    for refused in [
        world.app.find_device(&actor, &user, HERE).await.map(drop),
        world.app.decide_device(&actor, &user, true, HERE).await,
    ] {
        assert!(matches!(refused, Err(AppError::NeedsSession { .. })));
    }
    assert_eq!(error(&world, &device).await, "authorization_pending");
}

#[tokio::test]
async fn codes_cannot_be_guessed_by_the_thousand() {
    let quota = SignInQuota {
        account_burst: NonZeroU32::new(3).unwrap(),
        account_refill: Duration::from_secs(3600),
        address_burst: NonZeroU32::new(1_000).unwrap(),
        address_refill: Duration::from_secs(3600),
    };
    let world = World::with_sign_in_quota(quota).await;
    let ada = world.owner(world.tenant("home").await).await;
    let actor = who(&world, &ada).await;
    let (_, user) = begin(&world).await;
    for guess in ["BBBB-BBBB", "CCCC-CCCC", "not a code"] {
        let found = world.app.find_device(&actor, guess, HERE).await;
        assert!(matches!(found, Err(AppError::NotFound(_))), "{guess}");
    }
    let right = world.app.decide_device(&actor, &user, true, HERE).await;
    assert!(matches!(right, Err(AppError::TooManyTries { .. })), "{right:?}");
    // Nor can one address make devices without end.
    for _ in 0..2 {
        begin(&world).await;
    }
    let asked = request("POST", "/device/authorize").text(FORM, "client_id=x");
    assert_eq!(world.send(asked).await.problem(429), "too-many-tries");
}
