//! "Test this connection", and the test sign-in.

use std::net::TcpListener;

use chrono::TimeDelta;
use serde_json::{Value, json};
use updraft_hostile::oidc::{Conduct, Provider, Reply, SECRET, now, outbound, redirect_uri};
use updraft_model::{OidcConfig, OidcPreset};
use updraft_sso::oidc::{Callback, Explained, Oidc};
use updraft_sso::{Check, CheckOutcome};

async fn test(
    change: impl FnOnce(&mut Conduct),
    set_up: impl FnOnce(&mut OidcConfig),
    secret: &str,
) -> Vec<Check> {
    let provider = Provider::start("").await;
    provider.behaves(change);
    let mut config = provider.config();
    set_up(&mut config);
    let oidc = Oidc::new(outbound(&[&provider.url]));
    oidc.test(&config, Some(&secret.into()), &redirect_uri(), now())
        .await
}

fn outcome(checks: &[Check], name: &str) -> CheckOutcome {
    let found = checks.iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("{name} in {checks:?}")).outcome
}

fn bad(checks: &[Check]) -> Vec<&str> {
    let bad = checks.iter().filter(|check| check.outcome == CheckOutcome::Bad);
    bad.map(|check| check.name).collect()
}

#[tokio::test]
async fn a_good_provider_passes_every_check() {
    let checks = test(|_| {}, |_| {}, SECRET).await;
    let all = [
        "discovery",
        "issuer",
        "clock",
        "keys",
        "algorithms",
        "flow",
        "pkce",
        "client",
        "changes",
        "scopes",
        "groups",
        "logout",
    ];
    for name in all {
        assert_eq!(outcome(&checks, name), CheckOutcome::Good, "{name}: {checks:?}");
    }
    assert_eq!(
        outcome(&checks, "certificate"),
        CheckOutcome::Warning,
        "it is plain http"
    );
}

#[tokio::test]
async fn each_fault_has_a_line_of_its_own() {
    type Change = fn(&mut Conduct);
    let rows: [(&str, Change); 7] = [
        ("issuer", |conduct| {
            conduct.document["issuer"] = json!("https://other.example");
        }),
        ("keys", |conduct| conduct.keys.clear()),
        ("algorithms", |conduct| {
            conduct.document["id_token_signing_alg_values_supported"] = json!(["HS256"]);
        }),
        ("flow", |conduct| {
            conduct.document["response_types_supported"] = json!(["id_token"]);
        }),
        ("client", |conduct| {
            conduct.instead.insert(
                "/token",
                Reply::Says(200, json!({"access_token": "x"}).to_string()),
            );
        }),
        ("discovery", |conduct| {
            conduct
                .instead
                .insert("/.well-known/openid-configuration", Reply::html());
        }),
        ("keys", |conduct| {
            conduct.document["jwks_uri"] = json!("https://10.0.0.1/");
        }),
    ];
    for (name, change) in rows {
        assert_eq!(bad(&test(change, |_| {}, SECRET).await), [name]);
    }
}

#[tokio::test]
async fn what_is_missing_but_tolerable_is_a_warning() {
    let without = |name: &'static str| move |conduct: &mut Conduct| remove(&mut conduct.document, name);
    for (name, member) in [
        ("pkce", "code_challenge_methods_supported"),
        ("changes", "grant_types_supported"),
        ("groups", "claims_supported"),
        ("logout", "end_session_endpoint"),
        ("algorithms", "id_token_signing_alg_values_supported"),
    ] {
        let checks = test(without(member), |_| {}, SECRET).await;
        assert_eq!(outcome(&checks, name), CheckOutcome::Warning, "{name}");
        assert!(bad(&checks).is_empty(), "{name}: {checks:?}");
    }
    let checks = test(
        |_| {},
        |config| config.scopes.push("unheard-of".to_owned()),
        SECRET,
    )
    .await;
    assert_eq!(outcome(&checks, "scopes"), CheckOutcome::Warning);
}

#[tokio::test]
async fn a_wrong_secret_shows_before_anybody_signs_in() {
    let checks = test(|_| {}, |_| {}, "not the secret").await;
    assert_eq!(bad(&checks), ["client"]);
}

#[tokio::test]
async fn a_wrong_clock_is_told_by_how_much() {
    let provider = Provider::start("").await;
    let oidc = Oidc::new(outbound(&[&provider.url]));
    let early = now() - TimeDelta::minutes(5);
    let checks = oidc
        .test(&provider.config(), Some(&SECRET.into()), &redirect_uri(), early)
        .await;
    let clock = checks.iter().find(|check| check.name == "clock").unwrap();
    assert_eq!(clock.outcome, CheckOutcome::Bad);
    assert!(clock.text.contains("ahead of"), "{}", clock.text);
}

#[tokio::test]
async fn an_address_that_cannot_be_reached_says_why() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rows = [
        (format!("http://{closed}"), "network"),
        ("https://nothing.invalid".to_owned(), "network"),
        ("https://10.0.0.1".to_owned(), "address"),
        ("https://localhost".to_owned(), "address"),
        ("http://login.example.com".to_owned(), "address"),
        ("ldap://login.example.com".to_owned(), "address"),
        ("no address".to_owned(), "discovery"),
        ("https://login.example.com/?tenant=7".to_owned(), "discovery"),
    ];
    let provider = Provider::start("").await;
    let oidc = Oidc::new(outbound(&[&format!("http://{closed}")]));
    for (issuer, name) in rows {
        let config = OidcConfig {
            issuer: issuer.clone(),
            ..provider.config()
        };
        let checks = oidc.test(&config, None, &redirect_uri(), now()).await;
        assert_eq!(bad(&checks), [name], "{issuer}: {checks:?}");
    }
}

#[tokio::test]
async fn google_is_set_up_with_domains_and_without_groups() {
    let checks = test(|_| {}, |config| config.preset = OidcPreset::Google, SECRET).await;
    assert_eq!(bad(&checks), ["issuer", "groups"]);
}

async fn explain(change: impl FnOnce(&mut Conduct)) -> Explained {
    let provider = Provider::start("").await;
    provider.behaves(change);
    let oidc = Oidc::new(outbound(&[&provider.url]));
    let config = provider.config();
    let begun = oidc.begin(&config, &redirect_uri(), None, now()).await.unwrap();
    let query = serde_urlencoded::to_string(provider.visited(&begun.url)).unwrap();
    let callback = Callback::parse(&query).unwrap();
    oidc.explain(&config, Some(&SECRET.into()), &begun.attempt, &callback, now())
        .await
}

#[tokio::test]
async fn a_test_sign_in_says_which_claims_came() {
    let explained = explain(|_| {}).await;
    assert!(explained.identity.is_ok());
    for name in [
        "sign_in",
        "email",
        "groups",
        "changes",
        "provider_session",
        "claims",
    ] {
        assert_eq!(outcome(&explained.checks, name), CheckOutcome::Good, "{name}");
    }
    let claims = explained
        .checks
        .iter()
        .find(|check| check.name == "claims")
        .unwrap();
    assert!(
        claims.text.contains("groups") && claims.text.contains("email_verified"),
        "{}",
        claims.text
    );
}

#[tokio::test]
async fn a_test_sign_in_says_which_claims_are_missing() {
    let explained = explain(|conduct| {
        conduct.userinfo = json!({"sub": "ada"});
        conduct.tokens = |tokens| remove(tokens, "refresh_token");
        conduct.claims = |claims| {
            remove(claims, "groups");
            remove(claims, "sid");
        };
    })
    .await;
    assert!(explained.identity.is_ok());
    for name in ["email", "groups", "changes", "provider_session"] {
        assert_eq!(outcome(&explained.checks, name), CheckOutcome::Warning, "{name}");
    }
}

#[tokio::test]
async fn a_test_sign_in_that_fails_says_why() {
    let explained = explain(|conduct| conduct.claims = |claims| claims["aud"] = json!("other")).await;
    assert_eq!(explained.identity.unwrap_err().code, "oidc.wrong_audience");
    assert_eq!(bad(&explained.checks), ["sign_in"]);
}

fn remove(object: &mut Value, name: &str) {
    object.as_object_mut().unwrap().remove(name);
}
