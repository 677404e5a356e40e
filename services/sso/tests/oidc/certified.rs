//! The whole way with the certified provider of `tests/e2e/idp`, its own pages included, but without a browser.

use std::time::Duration;

use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use serde_json::json;
use updraft_hostile::oidc::now;
use updraft_sso::oidc::{Attempt, Refreshed};
use updraft_sso::{Check, CheckOutcome};
use url::Url;

use crate::real::{Browser, Real, SECRET, SIGNED_OUT};

#[tokio::test]
async fn a_person_signs_in_and_changes_of_groups_are_noticed() {
    let mut provider = Real::certified().await;
    let identity = provider.sign_in().await.unwrap();
    assert_eq!(
        (identity.subject.as_str(), identity.email_verified),
        ("ada", true)
    );
    assert_eq!(identity.email.as_deref(), Some("ada@example.com"));
    assert_eq!(identity.groups, ["data-platform", "everyone"]);

    provider.changes(|state| state["users"]["ada"]["groups"] = json!(["everyone"]));
    let Refreshed::Vouched(again) = provider.refresh(&identity.refresh_token.unwrap()).await.unwrap() else {
        panic!("ada is still there");
    };
    assert_eq!(again.groups, ["everyone"]);

    provider.changes(|state| state["users"] = json!({}));
    let refreshed = provider.refresh(&again.refresh_token.unwrap()).await.unwrap();
    assert!(matches!(refreshed, Refreshed::Gone(refusal) if refusal.code == "oidc.person_gone"));
}

#[tokio::test]
async fn groups_come_from_userinfo_too() {
    let mut provider = Real::certified().await;
    provider.changes(|state| state["userinfo_only"] = json!(true));
    let identity = provider.sign_in().await.unwrap();
    assert_eq!(identity.groups, ["data-platform", "everyone"]);
    assert_eq!(identity.name.as_deref(), Some("Ada Lovelace"));
}

#[tokio::test]
async fn every_algorithm_of_the_provider_is_understood() {
    let mut provider = Real::certified().await;
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        provider.changes(|state| state["clients"][0]["id_token_signed_response_alg"] = json!(algorithm));
        let identity = provider
            .sign_in()
            .await
            .unwrap_or_else(|refusal| panic!("{algorithm}: {refusal:?}"));
        assert_eq!(identity.subject, "ada", "{algorithm}");
    }
}

#[tokio::test]
async fn a_code_is_good_once_and_for_one_sign_in() {
    let provider = Real::certified().await;
    let (attempt, callback) = provider.visit(&mut Browser::new()).await;
    let (other, _) = provider.visit(&mut Browser::new()).await;
    let mixed = Attempt {
        verifier: other.verifier,
        ..attempt.clone()
    };
    let refused = provider.finish(&mixed, &callback).await.unwrap_err();
    assert_eq!(refused.code, "oidc.code_refused", "PKCE");

    let (attempt, callback) = provider.visit(&mut Browser::new()).await;
    assert!(provider.finish(&attempt, &callback).await.is_ok(), "the control");
    let refused = provider.finish(&attempt, &callback).await.unwrap_err();
    assert_eq!(refused.code, "oidc.code_refused", "replay");
}

#[tokio::test]
async fn rotated_keys_are_found() {
    let mut provider = Real::certified().await;
    provider.sign_in().await.unwrap();
    provider.changes(|state| state["keys"] = json!(2));
    provider.sign_in().await.unwrap();
}

#[tokio::test]
async fn a_wrong_clock_is_said_to_be_wrong() {
    let mut provider = Real::certified().await;
    for (seconds, code) in [(90, "oidc.issued_in_future"), (-700, "oidc.expired")] {
        provider.changes(|state| state["skew_seconds"] = json!(seconds));
        assert_eq!(provider.sign_in().await.unwrap_err().code, code, "{seconds}");
        let checks = provider.test(SECRET).await;
        let clock = checks.iter().find(|check| check.name == "clock").unwrap();
        assert_eq!(clock.outcome, CheckOutcome::Bad, "{seconds}");
    }
    provider.changes(|state| state["skew_seconds"] = json!(30));
    provider.sign_in().await.unwrap();
}

#[tokio::test]
async fn a_provider_that_is_down_or_slow_is_said_to_be() {
    let mut provider = Real::certified().await;
    let (attempt, callback) = provider.visit(&mut Browser::new()).await;
    provider.changes(|state| state["down"] = json!(true));
    assert_eq!(
        provider.finish(&attempt, &callback).await.unwrap_err().code,
        "oidc.unexpected_answer"
    );
    provider.changes(|state| {
        state["down"] = json!(false);
        state["slow_ms"] = json!(60_000);
    });
    assert_eq!(
        provider.finish(&attempt, &callback).await.unwrap_err().code,
        "oidc.slow"
    );
    provider.changes(|state| state["slow_ms"] = json!(0));
    assert!(
        provider.finish(&attempt, &callback).await.is_ok(),
        "and is up again"
    );
}

#[tokio::test]
async fn the_connections_test_is_content_and_finds_a_wrong_secret() {
    let provider = Real::certified().await;
    let bad = |checks: Vec<Check>| {
        let bad = checks
            .into_iter()
            .filter(|check| check.outcome == CheckOutcome::Bad);
        bad.map(|check| check.name).collect::<Vec<_>>()
    };
    assert!(bad(provider.test(SECRET).await).is_empty());
    assert_eq!(bad(provider.test("another").await), ["client"]);
}

#[tokio::test]
async fn signing_out_ends_the_session_there_and_the_provider_says_so_here() {
    let mut provider = Real::certified().await;
    let mut browser = Browser::new();
    let (attempt, callback) = provider.visit(&mut browser).await;
    let identity = provider.finish(&attempt, &callback).await.unwrap();

    let back = Url::parse(SIGNED_OUT).unwrap();
    let config = provider.config();
    let id_token = identity.id_token.unwrap();
    let url = provider
        .oidc
        .logout_url(&config, Some(&id_token), &back, Some("s"))
        .await;
    let at = browser.sign_out(url.unwrap().unwrap()).await;
    assert_eq!(at.as_str(), "http://localhost:7700/signed-out?state=s");

    let heard = tokio::time::timeout(Duration::from_secs(10), provider.logouts.recv());
    let heard = heard.await.expect("the provider says so").unwrap();
    let token = heard.strip_prefix("logout_token=").unwrap();
    let logout = provider
        .oidc
        .verify_logout_token(&provider.config(), token, now())
        .await
        .unwrap();
    assert_eq!(logout.subject.as_deref(), Some("ada"));
    assert_eq!(logout.session, identity.provider_session);
    assert!(logout.expires_at - logout.issued_at <= TimeDelta::minutes(10));
    // Whoever holds an ID token cannot end sessions with it.
    let refused = provider
        .oidc
        .verify_logout_token(&provider.config(), id_token.expose_secret(), now())
        .await;
    assert_eq!(refused.unwrap_err().code, "oidc.logout_not_meant");
}
