//! API tokens of people and of service accounts: made once, capped, revoked, and never believed to be more.

use serde_json::json;
use updraft_authz::ApiToken;
use updraft_model::{ClusterRole, TenantRole, TokenLimit};
use updraft_sso::{SessionToken, random_bits};

use crate::support::{ORIGIN, Someone, World, request};

#[tokio::test]
async fn a_token_is_shown_once_and_then_recognised_by_its_end() {
    let world = World::new().await;
    let ada = world.owner(world.tenant("home").await).await;
    let made = world
        .post(
            &ada,
            "/tokens",
            json!({"name": "ci", "role": "admin", "expires_in_days": 30}),
        )
        .await;
    let made = made.must_be(201);
    let text = made["text"].as_str().unwrap();
    assert!(ApiToken::parse(text).is_some(), "{text}");
    assert!(text.ends_with(made["token"]["hint"].as_str().unwrap()));

    let listed = world.get(&ada, "/tokens").await;
    assert!(!listed.text.contains(&text[..20]), "{}", listed.text);
    let listed = listed.must_be(200);
    assert_eq!(listed["items"][0]["name"], "ci");
    assert!(listed["items"][0]["used_at"].is_null());

    let token = with(&ada, text);
    let me = world.get(&token, "/me").await.must_be(200);
    assert_eq!(me["email"], ada.email);
    assert_eq!(me["credential"]["role"], "admin");
    let listed = world.get(&ada, "/tokens").await.must_be(200);
    assert!(listed["items"][0]["used_at"].is_string(), "{listed}");
}

#[tokio::test]
async fn what_is_no_good_token_is_refused() {
    let world = World::new().await;
    let (home, away) = (world.tenant("home").await, world.tenant("away").await);
    let (ada, eve) = (world.owner(home).await, world.owner(away).await);
    let cluster = world.cluster(&ada, "one").await;
    let path = format!("/clusters/{cluster}");
    let good = world.api_token(&ada, TokenLimit::Full).await;
    world.get(&good, &path).await.must_be(200);

    let text = &good.token;
    let unknown = ApiToken::from_random(&random_bits()).expose().to_owned();
    for (what, bad, status) in [
        ("unknown", with(&ada, &unknown), 401),
        ("cut", with(&ada, &text[..54]), 401),
        ("too long", with(&ada, &format!("{text}0")), 401),
        ("in capitals", with(&ada, &text.to_uppercase()), 401),
        ("its prefix alone", with(&ada, "upd_t_"), 401),
        (
            "its text as a session",
            with(&ada, &text.replace("upd_t_", "upd_s_")),
            401,
        ),
        (
            "a session's text as a token",
            with(&ada, &ada.token.replace("upd_s_", "upd_t_")),
            401,
        ),
        (
            "an unknown session",
            with(&ada, SessionToken::random().expose()),
            401,
        ),
        ("expired", world.expired_token(&ada).await, 401),
        ("revoked", world.revoked_token(&ada).await, 401),
        (
            "another tenant's",
            world.api_token(&eve, TokenLimit::Full).await,
            404,
        ),
        (
            "for SCIM alone",
            world.api_token(&ada, TokenLimit::Scim).await,
            403,
        ),
    ] {
        let answer = world.get(&bad, &path).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text);
        assert!(!answer.text.contains(&bad.token), "{what}: {}", answer.text);
    }
    let cookie = request("GET", &path).cookie(&good).header("origin", ORIGIN);
    assert_eq!(world.send(cookie.empty()).await.problem(401), "not-signed-in");
    let basic = request("GET", &path).header("authorization", &format!("Basic {text}"));
    assert_eq!(world.send(basic.empty()).await.problem(401), "not-signed-in");
    world.get(&good, &path).await.must_be(200);
}

#[tokio::test]
async fn a_token_may_no_more_than_its_limit_nor_than_its_owner() {
    let world = World::new().await;
    let home = world.tenant("home").await;
    let ada = world.owner(home).await;
    let bo = world.someone(home, TenantRole::Member).await;
    let cluster = world.cluster(&ada, "one").await;
    world.grant(&bo, cluster, ClusterRole::User).await;
    let (show, stop) = (
        format!("/clusters/{cluster}"),
        format!("/clusters/{cluster}/stop"),
    );

    for (owner, limit, stops, sees_people) in [
        (&ada, TokenLimit::Full, 202, 200),
        (&ada, TokenLimit::Admin, 202, 403),
        (&ada, TokenLimit::User, 403, 403),
        (&bo, TokenLimit::Full, 403, 403),
        (&bo, TokenLimit::Admin, 403, 403),
        (&bo, TokenLimit::User, 403, 403),
    ] {
        let token = world.api_token(owner, limit).await;
        world.get(&token, &show).await.must_be(200);
        assert_eq!(
            world.get(&token, "/people").await.status.as_u16(),
            sees_people,
            "{limit:?}"
        );
        let answer = world.send(request("POST", &stop).bearer(&token).empty()).await;
        assert_eq!(answer.status.as_u16(), stops, "{limit:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_token_dies_with_its_owners_membership() {
    let world = World::new().await;
    let home = world.tenant("home").await;
    let ada = world.owner(home).await;
    let bo = world.someone(home, TenantRole::Member).await;
    let token = world.api_token(&bo, TokenLimit::Full).await;
    world.get(&token, "/me").await.must_be(200);
    world
        .delete(&ada, &format!("/people/{}", bo.user))
        .await
        .must_be(204);
    assert_eq!(world.get(&token, "/me").await.problem(401), "not-signed-in");
}

#[tokio::test]
async fn a_token_does_nothing_that_would_outlive_it() {
    let world = World::new().await;
    let ada = world.owner(world.tenant("home").await).await;
    let token = world.api_token(&ada, TokenLimit::Full).await;
    let other = world.token_id(&ada).await;
    let new = json!({"name": "more", "role": "full"});
    let password = json!({"current": crate::support::PASSWORD, "new": "quite another password"});
    for answer in [
        world.post(&token, "/tokens", new).await,
        world.delete(&token, "/sessions/current").await,
        world.delete(&token, "/sessions").await,
        world.get(&token, "/sessions").await,
        world.delete(&token, &format!("/tokens/{other}")).await,
        world
            .send(request("PUT", "/me/password").bearer(&token).json(&password))
            .await,
    ] {
        assert_eq!(answer.problem(403), "needs-session");
    }
    let me = world.get(&token, "/me").await.must_be(200);
    let itself = format!("/tokens/{}", me["credential"]["id"].as_str().unwrap());
    world.delete(&token, &itself).await.must_be(204);
    assert_eq!(world.get(&token, "/me").await.problem(401), "not-signed-in");
}

#[tokio::test]
async fn a_request_for_a_token_is_checked_field_by_field() {
    let world = World::new().await;
    let home = world.tenant("home").await;
    let ada = world.owner(home).await;
    let bo = world.someone(home, TenantRole::Member).await;
    for (body, field) in [
        (json!({"name": " ", "role": "user"}), "name"),
        (json!({"name": "a\nb", "role": "user"}), "name"),
        (json!({"name": "x".repeat(101), "role": "user"}), "name"),
        (
            json!({"name": "a", "role": "user", "expires_in_days": 0}),
            "expires_in_days",
        ),
        (
            json!({"name": "a", "role": "user", "expires_in_days": 366}),
            "expires_in_days",
        ),
        (
            json!({"name": "a", "role": "user", "expires_in_days": 1, "never_expires": true}),
            "expires_in_days",
        ),
        (json!({"name": "a", "role": "scim"}), "service_account"),
    ] {
        let answer = world.post(&ada, "/tokens", body.clone()).await;
        assert_eq!(answer.refused_field(422), field, "{body}");
    }
    let forever = json!({"name": "a", "role": "user", "never_expires": true});
    assert_eq!(
        world.post(&bo, "/tokens", forever.clone()).await.problem(403),
        "forbidden"
    );
    let made = world.post(&ada, "/tokens", forever).await.must_be(201);
    assert!(made["token"]["expires_at"].is_null());
    let person = json!({"name": "a", "role": "user", "service_account": bo.user});
    let refused = world.post(&ada, "/tokens", person).await;
    assert_eq!(refused.problem(404), "service-account-not-found");
}

#[tokio::test]
async fn a_service_account_has_tokens_and_roles_and_nothing_else() {
    let world = World::new().await;
    let home = world.tenant("home").await;
    let ada = world.owner(home).await;
    let bo = world.someone(home, TenantRole::Member).await;
    let (one, two) = (world.cluster(&ada, "one").await, world.cluster(&ada, "two").await);
    let made = world
        .post(&ada, "/service-accounts", json!({"name": "ci-deploy"}))
        .await
        .must_be(201);
    let taken = world
        .post(&ada, "/service-accounts", json!({"name": "ci-deploy"}))
        .await;
    assert_eq!(taken.problem(409), "service-account-taken");
    for bad in ["", "CI", "9x", "a b", "-a"] {
        let answer = world.post(&ada, "/service-accounts", json!({"name": bad})).await;
        assert_eq!(answer.refused_field(422), "name", "{bad}");
    }
    let user = made["user"].as_str().unwrap();
    let grant = format!("/clusters/{one}/grants/{user}");
    world
        .send(
            request("PUT", &grant)
                .bearer(&ada)
                .json(&json!({"role": "admin"})),
        )
        .await
        .must_be(200);
    let new = json!({"name": "deploys", "role": "full", "service_account": user});
    assert_eq!(
        world.post(&bo, "/tokens", new.clone()).await.problem(403),
        "forbidden"
    );
    let token = world.post(&ada, "/tokens", new).await.must_be(201);
    let program = with(&ada, token["text"].as_str().unwrap());

    assert_eq!(
        world.get(&program, "/me").await.must_be(200)["email"],
        made["email"]
    );
    world
        .get(&program, &format!("/clusters/{one}"))
        .await
        .must_be(200);
    world
        .get(&program, &format!("/clusters/{two}"))
        .await
        .problem(404);
    assert_eq!(world.get(&program, "/people").await.problem(403), "forbidden");
    let sign_in = json!({"email": made["email"], "password": "anything at all"});
    let refused = world.send(request("POST", "/sessions").json(&sign_in)).await;
    assert_eq!(refused.problem(401), "wrong-credentials");

    world
        .delete(&ada, &format!("/service-accounts/{user}"))
        .await
        .must_be(204);
    assert_eq!(world.get(&program, "/me").await.problem(401), "not-signed-in");
}

fn with(person: &Someone, token: &str) -> Someone {
    Someone {
        token: token.to_owned(),
        ..person.clone()
    }
}
