//! What an edge refuses, as it tells control of it: each kind by its name, floods as one, and never a secret.

use std::time::Duration;

use chrono::Utc;
use http::StatusCode;
use updraft_api::edge_refusals::{Presented, Refusals, Refused, RefusedFor};
use updraft_authz::{ApiToken, SigningKey, TokenPolicy, TrustedProxy, mint_session_token};
use updraft_model::{ClusterId, TenantId, TokenId, TokenLimit};
use uuid::Uuid;

use crate::harness::{ALICE, BOB, CAROL, Call, World, until};

/// An edge that tells at once.
async fn world() -> World {
    let mut world = World::prepare().await;
    world.config.limits.refusals = Duration::from_millis(20);
    world.start_edge().await;
    world
}

fn told(world: &World) -> Vec<Refused> {
    let reports = world.control.refusals();
    let parse = |text: &String| serde_json::from_str::<Refusals>(text).unwrap().refusals;
    reports.iter().flat_map(parse).collect()
}

/// Refuses it, and waits until control was told so.
async fn refused(world: &World, call: Call, status: StatusCode, why: RefusedFor, with: Presented) {
    let answer = call.with("user-agent", "curl/8").send().await;
    assert_eq!(answer.status, status, "{why:?}");
    until("control hears of it", || async {
        told(world)
            .iter()
            .any(|one| (one.why, one.with, one.times) == (why, with, 1))
    })
    .await;
    let all = told(world);
    let one = all.iter().find(|one| (one.why, one.with) == (why, with)).unwrap();
    assert_eq!(one.cluster, Some(ClusterId(1)), "{why:?}");
    assert_eq!(one.from.address, Some([127, 0, 0, 1].into()));
    assert_eq!(one.from.user_agent.as_deref(), Some("curl/8"));
    assert_eq!(
        Some(one.from.request_id.as_str()),
        answer.header("x-request-id"),
        "{why:?}"
    );
}

fn program(world: &World) -> Call {
    world.get(1, "/api/v2/dags").with("accept", "*/*")
}

fn by_token(world: &World, text: &str) -> Call {
    program(world).with("authorization", &format!("Bearer {text}"))
}

fn dead_session(world: &World) -> (String, Presented) {
    let mut claims = world.claims(ALICE, 1);
    claims.sid.0 = Uuid::from_u128(0xdead);
    claims.exp = Utc::now().timestamp() - 1;
    (world.mint(&claims), Presented::Session(claims.sid))
}

#[tokio::test]
async fn each_bad_session_is_told_by_its_name() {
    use RefusedFor::{Forged, SessionElsewhere, SessionEnded, SessionExpired};
    let world = world().await;
    let no = StatusCode::UNAUTHORIZED;
    let session = |user, cluster| Presented::Session(world.claims(user, cluster).sid);

    let key = SigningKey::from_seed("session", &[9; 32]).unwrap();
    let forged = mint_session_token(&key, &world.claims(ALICE, 1)).unwrap();
    let call = program(&world).signed_in(&forged);
    refused(&world, call, no, Forged, Presented::Nothing).await;

    let (expired, with) = dead_session(&world);
    let call = program(&world).signed_in(&expired);
    refused(&world, call, no, SessionExpired, with).await;

    let elsewhere = world.session(ALICE, 2);
    let call = program(&world).signed_in(&elsewhere);
    refused(&world, call, no, SessionElsewhere, session(ALICE, 2)).await;

    let good = world.session(BOB, 1);
    let call = || program(&world).signed_in(&good);
    assert_eq!(call().send().await.status, StatusCode::OK);
    let ended = world.claims(BOB, 1).sid;
    world
        .publish(|s| {
            s.policy.revoked_sessions.insert(ended);
        })
        .await;
    refused(&world, call(), no, SessionEnded, session(BOB, 1)).await;
}

#[tokio::test]
async fn what_was_under_way_when_its_session_ended_is_refused_and_told_like_all_else() {
    let world = world().await;
    let upstream = &world.upstreams[0];
    let claims = world.claims(BOB, 1);
    let later = world.get(1, "/later").with("accept", "*/*");
    let later = later.signed_in(&world.mint(&claims));
    let ending = async {
        until("it is under way", || async { upstream.requests() == 1 }).await;
        world
            .publish(|s| {
                s.policy.revoked_sessions.insert(claims.sid);
            })
            .await;
        upstream.send_event();
    };
    let (no, with) = (StatusCode::UNAUTHORIZED, Presented::Session(claims.sid));
    tokio::join!(refused(&world, later, no, RefusedFor::SessionEnded, with), ending);
}

#[tokio::test]
async fn each_bad_token_and_missing_role_is_told_by_its_name() {
    let world = world().await;
    let unknown = ApiToken::from_random(&[3; 32]);
    let (no, with) = (StatusCode::UNAUTHORIZED, Presented::Token(unknown.hash()));
    refused(
        &world,
        by_token(&world, unknown.expose()),
        no,
        RefusedFor::Token,
        with,
    )
    .await;

    let foreign = ApiToken::from_random(&[4; 32]);
    let policy = TokenPolicy {
        id: TokenId(Uuid::from_u128(4)),
        tenant: TenantId(Uuid::from_u128(0x2)),
        user: CAROL,
        limit: TokenLimit::Full,
        expires_at: None,
        email: "carol@example.com".into(),
        name: "Carol".into(),
    };
    world
        .publish(|s| {
            s.policy.tokens.insert(foreign.hash(), policy);
        })
        .await;
    let own = world
        .get(3, "/api/v2/dags")
        .with("authorization", &format!("Bearer {}", foreign.expose()));
    assert_eq!(own.send().await.status, StatusCode::OK);
    let with = Presented::Token(foreign.hash());
    refused(
        &world,
        by_token(&world, foreign.expose()),
        StatusCode::NOT_FOUND,
        RefusedFor::NoRole,
        with,
    )
    .await;
    let reports = world.control.refusals().concat();
    for secret in [unknown.expose(), foreign.expose(), "carol@example.com"] {
        assert!(!reports.contains(secret), "{reports}");
    }
}

#[tokio::test]
async fn requests_that_other_sites_cause_and_stolen_codes_are_told() {
    let world = world().await;
    let session = world.session(ALICE, 1);
    let with = Presented::Session(world.claims(ALICE, 1).sid);
    let forged = program(&world)
        .method("POST")
        .signed_in(&session)
        .with("origin", "https://evil.example");
    refused(&world, forged, StatusCode::FORBIDDEN, RefusedFor::CrossSite, with).await;

    let stolen = "/_updraft/handover?code=stolen-code&return_to=/airflow-webserver-1/";
    let call = Call::get(&world.host(1), stolen);
    let (why, nothing) = (RefusedFor::HandoverElsewhere, Presented::Nothing);
    refused(&world, call, StatusCode::BAD_REQUEST, why, nothing).await;
    assert!(!world.control.refusals().concat().contains("stolen-code"));
}

#[tokio::test]
async fn who_may_and_who_shows_nothing_is_not_told() {
    let world = world().await;
    let session = world.session(ALICE, 1);
    let fine = world.get(1, "/").signed_in(&session).send().await;
    assert_eq!(fine.status, StatusCode::OK);
    let beside = program(&world)
        .signed_in(&session)
        .with("authorization", "Bearer of-an-airflow-plugin");
    assert_eq!(beside.send().await.status, StatusCode::OK);
    assert_eq!(program(&world).send().await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.get(1, "/").send().await.status, StatusCode::SEE_OTHER);
    let (bad, with) = dead_session(&world);
    let call = program(&world).signed_in(&bad);
    refused(
        &world,
        call,
        StatusCode::UNAUTHORIZED,
        RefusedFor::SessionExpired,
        with,
    )
    .await;
    assert_eq!(told(&world).len(), 1, "{:?}", told(&world));
}

#[tokio::test]
async fn a_flood_while_control_is_away_is_told_as_one_when_it_is_back() {
    let mut world = world().await;
    let (bad, _) = dead_session(&world);
    world.control.kill();
    world.until_control_is("unreachable").await;
    for _ in 0..100 {
        let answer = program(&world).signed_in(&bad).send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    world.control.revive().await;
    until("control hears of it", || async { !told(&world).is_empty() }).await;
    let all = told(&world);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].times, 100);
}

#[tokio::test]
async fn what_was_refused_last_is_told_before_the_edge_stops() {
    let mut world = World::prepare().await;
    world.config.limits.refusals = Duration::from_secs(3600);
    world.start_edge().await;
    let (bad, _) = dead_session(&world);
    program(&world).signed_in(&bad).send().await;
    world.stop_edge().await;
    assert_eq!(told(&world).len(), 1);
}

#[tokio::test]
async fn a_refusal_is_of_whom_a_proxy_asked_for() {
    let mut world = World::prepare().await;
    world.config.limits.refusals = Duration::from_millis(20);
    world.config.trusted_proxies = ["127.0.0.1".parse::<TrustedProxy>().unwrap()]
        .into_iter()
        .collect();
    world.start_edge().await;
    let call = by_token(&world, "nothing").with("x-forwarded-for", "6.6.6.6, 203.0.113.5");
    assert_eq!(call.send().await.status, StatusCode::UNAUTHORIZED);
    until("control hears of it", || async { !told(&world).is_empty() }).await;
    assert_eq!(told(&world)[0].from.address, Some([203, 0, 113, 5].into()));
}
