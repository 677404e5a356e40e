//! Setting sign-in up: identity providers, domains and rules, and what cannot be locked out.

use secrecy::SecretString;
use serde_json::{Value, json};
use updraft_model::{ProviderId, TenantId, UserId};
use updraft_store::identities::{self, IdentityName, Said};
use updraft_store::identity_providers;

use crate::support::{Someone, World, request};

fn acme() -> Value {
    // An address that the outbound policy refuses at once: no test of it passes.
    json!({"name": "Acme", "secret": "s3cr3t-of-the-client", "config": {
        "kind": "oidc", "issuer": "https://127.0.0.1", "client_id": "updraft", "groups_claim": "groups"}})
}

/// A provider of the tenant that was tested as it is, with nobody's help.
pub(crate) async fn tested_provider(world: &World, owner: &Someone, body: Value) -> ProviderId {
    let made = world.post(owner, "/identity-providers", body).await.must_be(201);
    let id: ProviderId = made["id"].as_str().unwrap().parse().unwrap();
    let test =
        json!({"version": 1, "at": "2026-11-22T00:00:00Z", "passed": true, "checks": [], "signed_in": false});
    let mut tx = world.tx().await;
    assert!(
        identity_providers::record_test(&mut tx, owner.tenant, id, 1, &test)
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    id
}

/// Takes away whatever a tenant has set up.
pub(crate) async fn clear(world: &World, tenant: TenantId) {
    let mut tx = world.tx().await;
    for provider in identity_providers::list(&mut tx, tenant).await.unwrap() {
        identity_providers::delete(&mut tx, tenant, provider.id)
            .await
            .unwrap();
    }
    for record in updraft_store::domains::list(&mut tx, tenant).await.unwrap() {
        updraft_store::domains::delete(&mut tx, tenant, &record.domain)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

/// The person has signed in through it once.
async fn came_through(world: &World, tenant: TenantId, user: UserId, provider: ProviderId) {
    let name = IdentityName {
        tenant,
        issuer: "https://127.0.0.1".into(),
        subject: user.to_string(),
    };
    let said = Said {
        provider,
        groups: &[],
        email_verified: true,
        hosted_domain: None,
        refresh_token: Some(&SecretString::from("refresh")),
        refresh_at: None,
    };
    let mut tx = world.tx().await;
    let key = world.app.config().master_key.clone();
    identities::put(&mut tx, &key, &name, user, &said).await.unwrap();
    tx.commit().await.unwrap();
}

async fn patch(world: &World, who: &Someone, path: &str, body: Value) -> crate::support::Answer {
    world.send(request("PATCH", path).bearer(who).json(&body)).await
}

#[tokio::test]
async fn a_provider_is_set_up_and_its_secret_never_shown() {
    let world = World::new().await;
    let owner = world.owner(world.tenant("acme").await).await;
    let made = world.post(&owner, "/identity-providers", acme()).await;
    let view = made.must_be(201);
    assert_eq!(
        (view["enabled"].as_bool(), view["has_secret"].as_bool()),
        (Some(false), Some(true))
    );
    let id = view["id"].as_str().unwrap();
    let redirect = format!("http://localhost:7700/sign-in/oidc/{id}/callback");
    assert_eq!(view["addresses"]["redirect_uri"], redirect.as_str());
    let shown = world.get(&owner, &format!("/identity-providers/{id}")).await;
    let listed = world.get(&owner, "/identity-providers").await;
    let log = world.get(&owner, "/audit").await;
    for answer in [&made, &shown, &listed, &log] {
        assert!(!answer.text.contains("s3cr3t"), "{}", answer.text);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_provider_is_named() {
    let world = World::new().await;
    let owner = world.owner(world.tenant("acme").await).await;
    let ask = |body: Value| world.post(&owner, "/identity-providers", body);
    let mut other = acme();
    other["config"]["issuer"] = "".into();
    assert_eq!(ask(other).await.refused_field(422), "config.issuer");
    assert_eq!(ask(json!({"name": "Acme"})).await.refused_field(422), "config");
    assert_eq!(
        ask(json!({"name": "Acme", "metadata": "<x/>"}))
            .await
            .refused_field(422),
        "metadata"
    );
    ask(acme()).await.must_be(201);
    assert_eq!(ask(acme()).await.problem(409), "issuer-taken");
    let mut same_name = acme();
    same_name["name"] = "ACME".into();
    same_name["config"]["issuer"] = "https://127.0.0.2".into();
    assert_eq!(ask(same_name).await.refused_field(409), "name");
}

#[tokio::test]
async fn only_what_passed_its_test_as_it_is_signs_people_in() {
    let world = World::new().await;
    let owner = world.owner(world.tenant("acme").await).await;
    let id = world
        .post(&owner, "/identity-providers", acme())
        .await
        .must_be(201)["id"]
        .clone();
    let at = |verb: &str| format!("/identity-providers/{}{verb}", id.as_str().unwrap());
    assert_eq!(
        world.post(&owner, &at("/enable"), json!({})).await.problem(409),
        "provider-not-tested"
    );
    let tested = world.post(&owner, &at("/test"), json!({})).await.must_be(200);
    assert_eq!(tested["last_test"]["passed"], false, "{tested}");
    assert_eq!(
        world.post(&owner, &at("/enable"), json!({})).await.problem(409),
        "provider-not-tested"
    );
    clear(&world, owner.tenant).await;

    let id = tested_provider(&world, &owner, acme()).await;
    let at = |verb: &str| format!("/identity-providers/{id}{verb}");
    let changed = json!({"config": {"kind": "oidc", "issuer": "https://127.0.0.1", "client_id": "another"}});
    patch(&world, &owner, &at(""), changed.clone()).await.must_be(200);
    let refused = world.post(&owner, &at("/enable"), json!({})).await;
    assert_eq!(
        refused.problem(409),
        "provider-not-tested",
        "it was another version that passed"
    );

    clear(&world, owner.tenant).await;
    let id = tested_provider(&world, &owner, acme()).await;
    let at = |verb: &str| format!("/identity-providers/{id}{verb}");
    world.post(&owner, &at("/enable"), json!({})).await.must_be(200);
    let refused = patch(&world, &owner, &at(""), changed).await;
    assert_eq!(
        refused.problem(409),
        "provider-test-failed",
        "an enabled one is tested with its change"
    );
    let kept = world.get(&owner, &at("")).await.must_be(200);
    assert_eq!(
        (&kept["enabled"], &kept["config"]["client_id"]),
        (&json!(true), &json!("updraft"))
    );
}

#[tokio::test]
async fn the_issuer_stays_since_identities_depend_on_it() {
    let world = World::new().await;
    let owner = world.owner(world.tenant("acme").await).await;
    let id = tested_provider(&world, &owner, acme()).await;
    let other = json!({"config": {"kind": "oidc", "issuer": "https://127.0.0.9", "client_id": "updraft"}});
    let refused = patch(&world, &owner, &format!("/identity-providers/{id}"), other).await;
    assert_eq!(refused.refused_field(422), "config.issuer");
}

#[tokio::test]
async fn the_last_way_in_is_not_locked() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let no_passwords = json!({"password_sign_in": false});
    let rules = |body: Value| patch(&world, &owner, "/sign-in-rules", body);
    assert_eq!(
        rules(no_passwords.clone()).await.problem(409),
        "no-owner-through-provider"
    );

    let id = tested_provider(&world, &owner, acme()).await;
    let at = |verb: &str| format!("/identity-providers/{id}{verb}");
    world.post(&owner, &at("/enable"), json!({})).await.must_be(200);
    assert_eq!(
        rules(no_passwords.clone()).await.problem(409),
        "no-owner-through-provider"
    );
    let member = world.someone(tenant, updraft_model::TenantRole::Member).await;
    came_through(&world, tenant, member.user, id).await;
    assert_eq!(
        rules(no_passwords.clone()).await.problem(409),
        "no-owner-through-provider",
        "a member came through it, no owner"
    );

    came_through(&world, tenant, owner.user, id).await;
    rules(no_passwords).await.must_be(200);
    for (method, verb) in [("POST", "/disable"), ("DELETE", "")] {
        let refused = world
            .send(request(method, &at(verb)).bearer(&owner).json(&json!({})))
            .await;
        assert_eq!(refused.problem(409), "last-way-in", "{method}");
    }
    let sign_in = json!({"email": owner.email, "password": crate::support::PASSWORD});
    let by_password = world.send(request("POST", "/sessions").json(&sign_in)).await;
    assert_eq!(by_password.problem(401), "wrong-credentials");
    rules(json!({"password_sign_in": true})).await.must_be(200);
    world.post(&owner, &at("/disable"), json!({})).await.must_be(200);
}

#[tokio::test]
async fn without_passwords_what_began_with_one_ends() {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let (owner, member) = (
        world.owner(tenant).await,
        world.someone(tenant, updraft_model::TenantRole::Member).await,
    );
    let id = tested_provider(&world, &owner, acme()).await;
    world
        .post(&owner, &format!("/identity-providers/{id}/enable"), json!({}))
        .await
        .must_be(200);
    came_through(&world, tenant, owner.user, id).await;
    patch(
        &world,
        &owner,
        "/sign-in-rules",
        json!({"password_sign_in": false}),
    )
    .await
    .must_be(200);
    world.get(&owner, "/me").await.must_be(200);
    world.get(&member, "/me").await.must_be(401);
}

#[tokio::test]
async fn a_session_lasts_as_long_as_the_tenant_says() {
    let world = World::new().await;
    let owner = world.owner(world.tenant("acme").await).await;
    let rules = |seconds: u32| {
        patch(
            &world,
            &owner,
            "/sign-in-rules",
            json!({"session_seconds": seconds}),
        )
    };
    for bad in [1, 299, 2_592_001] {
        assert_eq!(rules(bad).await.refused_field(422), "session_seconds");
    }
    rules(600).await.must_be(200);
    let sign_in = json!({"email": owner.email, "password": crate::support::PASSWORD});
    let signed_in = world
        .send(request("POST", "/sessions").json(&sign_in))
        .await
        .must_be(201);
    let until: chrono::DateTime<chrono::Utc> = signed_in["expires_at"].as_str().unwrap().parse().unwrap();
    let lasts = until - chrono::Utc::now();
    assert!((550..=600).contains(&lasts.num_seconds()), "{lasts}");
    rules(0).await.must_be(200);
}

#[tokio::test]
async fn a_domain_is_proven_by_its_record_and_by_one_tenant() {
    let world = World::new().await;
    let (home, away) = (world.tenant("home").await, world.tenant("away").await);
    let (owner, stranger) = (world.owner(home).await, world.owner(away).await);
    let claim = json!({"domain": "Example.com"});
    let view = world.post(&owner, "/domains", claim.clone()).await.must_be(201);
    let (name, value) = (
        view["record_name"].as_str().unwrap(),
        view["record_value"].as_str().unwrap(),
    );
    assert_eq!(name, "_updraft-challenge.example.com");
    assert!(view["verified_at"].is_null());
    let check = |who: Someone| {
        let world = &world;
        async move { world.post(&who, "/domains/example.com/check", json!({})).await }
    };
    assert_eq!(check(owner.clone()).await.problem(409), "domain-not-proven");
    world.dns.be_silent_about(name);
    assert_eq!(check(owner.clone()).await.problem(409), "domain-not-proven");
    world.dns.set(name, "updraft-domain=somebody-elses");
    assert_eq!(check(owner.clone()).await.problem(409), "domain-not-proven");
    world.dns.set(name, value);
    assert!(check(owner.clone()).await.must_be(200)["verified_at"].is_string());

    let theirs = world.post(&stranger, "/domains", claim).await.must_be(201);
    assert_eq!(
        check(stranger.clone()).await.problem(409),
        "domain-not-proven",
        "another's record"
    );
    world.dns.set(name, theirs["record_value"].as_str().unwrap());
    assert_eq!(check(stranger).await.problem(409), "domain-taken");
}
