//! API tokens at the edge: who may what with them, and who may nothing.

use chrono::Utc;
use http::StatusCode;
use updraft_authz::{ApiToken, TokenPolicy};
use updraft_model::{TenantId, TokenId, TokenLimit, UserId};
use uuid::Uuid;

use crate::harness::{ALICE, BOB, CAROL, Call, World, until};
use crate::headers::claims;

const ACME: TenantId = TenantId(Uuid::from_u128(0x1));
const GLOBEX: TenantId = TenantId(Uuid::from_u128(0x2));

fn token(seed: u8) -> ApiToken {
    ApiToken::from_random(&[seed; 32])
}

fn of(tenant: TenantId, user: UserId, limit: TokenLimit) -> TokenPolicy {
    TokenPolicy {
        id: TokenId(Uuid::from_u128(user.0.as_u128() + 200)),
        tenant,
        user,
        limit,
        expires_at: Some(Utc::now().timestamp() + 3600),
        email: "person@example.com".into(),
        name: "A Person".into(),
    }
}

/// Gives out the first token.
async fn with(world: &World, policy: TokenPolicy) -> ApiToken {
    let token = token(1);
    let hash = token.hash();
    world
        .publish(|s| {
            s.policy.tokens.insert(hash, policy);
        })
        .await;
    token
}

fn by(call: Call, text: &str) -> Call {
    call.with("accept", "*/*")
        .with("authorization", &format!("Bearer {text}"))
}

async fn status(world: &World, cluster: i64, text: &str) -> StatusCode {
    by(world.get(cluster, "/api/v2/dags"), text).send().await.status
}

#[tokio::test]
async fn a_token_opens_airflow_without_cookie_or_origin() {
    let world = World::start().await;
    let token = with(&world, of(ACME, ALICE, TokenLimit::Full)).await;
    for method in ["GET", "POST", "DELETE"] {
        let call = by(world.get(1, "/api/v2/dags").method(method), token.expose());
        let answer = call.send().await;
        assert_eq!(answer.status, StatusCode::OK, "{method}");
        let seen = answer.json();
        assert_eq!(claims(&seen)["role"], "admin");
        assert!(
            !seen.to_string().contains(token.expose()),
            "the token itself goes no further"
        );
    }
    assert_eq!(status(&world, 2, token.expose()).await, StatusCode::OK);
}

#[tokio::test]
async fn a_tokens_role_is_the_lesser_of_its_own_and_its_owners() {
    let world = World::start().await;
    for (user, limit, role) in [
        (ALICE, TokenLimit::Full, "admin"),
        (ALICE, TokenLimit::Admin, "admin"),
        (ALICE, TokenLimit::User, "user"),
        (BOB, TokenLimit::Full, "user"),
        (BOB, TokenLimit::Admin, "user"),
        (BOB, TokenLimit::User, "user"),
    ] {
        let token = with(&world, of(ACME, user, limit)).await;
        let answer = by(world.get(1, "/api/v2/dags"), token.expose()).send().await;
        assert_eq!(claims(&answer.json())["role"], role, "{limit:?}");
    }
}

#[tokio::test]
async fn what_is_no_good_token_is_refused() {
    let world = World::start().await;
    let good = of(ACME, ALICE, TokenLimit::Full);
    let token = with(&world, good.clone()).await;
    assert_eq!(status(&world, 1, token.expose()).await, StatusCode::OK);

    let (text, other) = (token.expose(), self::token(9));
    for (what, bad) in [
        ("unknown", other.expose().to_owned()),
        ("cut", text[..text.len() - 1].to_owned()),
        ("with another checksum", format!("{}0", &text[..text.len() - 1])),
        ("in capitals", text.to_uppercase()),
        ("with the session's prefix", text.replace("upd_t_", "upd_s_")),
        ("its prefix alone", "upd_t_".to_owned()),
    ] {
        assert_eq!(status(&world, 1, &bad).await, StatusCode::UNAUTHORIZED, "{what}");
    }
    let as_cookie = world.get(1, "/").with("accept", "*/*").signed_in(text);
    assert_eq!(
        as_cookie.send().await.status,
        StatusCode::UNAUTHORIZED,
        "as a cookie"
    );
    let basic = world
        .get(1, "/")
        .with("accept", "*/*")
        .with("authorization", &format!("Basic {text}"));
    assert_eq!(
        basic.send().await.status,
        StatusCode::UNAUTHORIZED,
        "as a password"
    );

    for (what, policy, refusal) in [
        (
            "expired",
            TokenPolicy {
                expires_at: Some(Utc::now().timestamp()),
                ..good.clone()
            },
            StatusCode::UNAUTHORIZED,
        ),
        (
            "another tenant's",
            of(GLOBEX, CAROL, TokenLimit::Full),
            StatusCode::NOT_FOUND,
        ),
        (
            "of a person who is not in its tenant",
            of(GLOBEX, ALICE, TokenLimit::Full),
            StatusCode::UNAUTHORIZED,
        ),
        (
            "for SCIM alone",
            of(ACME, ALICE, TokenLimit::Scim),
            StatusCode::NOT_FOUND,
        ),
    ] {
        let token = with(&world, policy).await;
        assert_eq!(status(&world, 1, token.expose()).await, refusal, "{what}");
    }
    with(&world, good).await;
    assert_eq!(status(&world, 1, text).await, StatusCode::OK);
}

#[tokio::test]
async fn a_revoked_token_and_a_removed_persons_are_worth_nothing_at_once() {
    let world = World::start().await;
    let token = with(&world, of(ACME, BOB, TokenLimit::Full)).await;
    assert_eq!(status(&world, 1, token.expose()).await, StatusCode::OK);
    world
        .publish(|s| {
            s.policy.members.get_mut(&ACME).unwrap().remove(&BOB);
        })
        .await;
    assert_eq!(status(&world, 1, token.expose()).await, StatusCode::UNAUTHORIZED);

    let token = with(&world, of(ACME, ALICE, TokenLimit::Full)).await;
    assert_eq!(status(&world, 1, token.expose()).await, StatusCode::OK);
    world.publish(|s| s.policy.tokens.clear()).await;
    assert_eq!(status(&world, 1, token.expose()).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_works_while_control_is_away_and_its_use_is_told_when_it_is_back() {
    let mut world = World::prepare().await;
    world.config.limits.token_uses = std::time::Duration::from_millis(20);
    world.start_edge().await;
    let policy = of(ACME, ALICE, TokenLimit::User);
    let id = policy.id;
    let token = with(&world, policy).await;
    world.control.kill();
    world.until_control_is("unreachable").await;
    let before = Utc::now().timestamp();
    assert_eq!(status(&world, 1, token.expose()).await, StatusCode::OK);
    world.control.revive().await;
    until("control hears of the use", || async {
        world.control.used(id).is_some()
    })
    .await;
    assert!(world.control.used(id).unwrap() >= before);
}
