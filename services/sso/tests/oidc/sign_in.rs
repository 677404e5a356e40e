//! What passes, and what it says of a person.

use jsonwebtoken::Algorithm;
use secrecy::ExposeSecret as _;
use serde_json::json;
use updraft_hostile::oidc::{Conduct, Key, Provider, SECRET, Signing, now, outbound, redirect_uri};
use updraft_model::{OidcConfig, OidcPreset};
use updraft_sso::oidc::{Callback, Oidc};
use updraft_sso::{Refusal, VouchedIdentity};
use url::Url;

pub(crate) async fn sign_in(
    oidc: &Oidc,
    provider: &Provider,
    config: &OidcConfig,
) -> Result<VouchedIdentity, Refusal> {
    let begun = oidc.begin(config, &redirect_uri(), None, now()).await?;
    let query = serde_urlencoded::to_string(provider.visited(&begun.url)).unwrap();
    let callback = Callback::parse(&query)?;
    oidc.finish(config, Some(&SECRET.into()), &begun.attempt, &callback, now())
        .await
}

async fn one_sign_in(change: impl FnOnce(&mut Conduct)) -> VouchedIdentity {
    let provider = Provider::start("").await;
    provider.behaves(change);
    let oidc = Oidc::new(outbound(&[&provider.url]));
    sign_in(&oidc, &provider, &provider.config()).await.unwrap()
}

#[tokio::test]
async fn the_id_token_and_userinfo_together_say_who_somebody_is() {
    let identity = one_sign_in(|_| {}).await;
    assert_eq!(identity.subject, "ada");
    assert_eq!(identity.name.as_deref(), Some("Ada Lovelace"));
    assert_eq!(identity.email.as_deref(), Some("ada@example.com"));
    assert!(identity.email_verified);
    assert_eq!(identity.groups, ["data-platform", "everyone"]);
    assert_eq!(identity.provider_session.as_deref(), Some("session-1"));
    assert_eq!(identity.refresh_token.unwrap().expose_secret(), "a-refresh-token");
    assert!(identity.id_token.is_some());
}

#[tokio::test]
async fn every_trusted_algorithm_signs_people_in() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ] {
        let identity = one_sign_in(|conduct| {
            let key = Key::new("own", algorithm);
            conduct.keys = vec![Key::new("older", Algorithm::ES256), key.clone()];
            conduct.signing = Signing::With(key);
            // Its hash goes with the algorithm; SHA-256's is checked by the others.
            conduct.claims = |claims| {
                claims.as_object_mut().unwrap().remove("at_hash");
            };
        })
        .await;
        assert_eq!(identity.subject, "ada", "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_a_little_off_is_no_reason() {
    one_sign_in(|conduct| {
        conduct.claims = |claims| {
            claims["iat"] = json!(now().timestamp() + 50);
            claims["nbf"] = json!(now().timestamp() + 50);
            claims["exp"] = json!(now().timestamp() - 50);
        };
    })
    .await;
}

#[tokio::test]
async fn an_address_is_verified_only_by_who_says_it() {
    let identity = one_sign_in(|conduct| {
        conduct.claims = |claims| claims["email"] = json!("ceo@example.com");
    })
    .await;
    assert_eq!(identity.email.as_deref(), Some("ceo@example.com"));
    assert!(!identity.email_verified, "userinfo verified another address");
}

#[tokio::test]
async fn groups_are_found_inside_of_objects_and_in_userinfo() {
    let provider = Provider::start("").await;
    let oidc = Oidc::new(outbound(&[&provider.url]));
    provider.behaves(|conduct| {
        conduct.userinfo["realm_access"] =
            json!({"roles": ["analyst", " admin", "", "analyst", "\u{1b}[31m"]});
    });
    let config = OidcConfig {
        groups_claim: Some("realm_access.roles".to_owned()),
        ..provider.config()
    };
    let identity = sign_in(&oidc, &provider, &config).await.unwrap();
    assert_eq!(
        identity.groups,
        [" admin", "analyst"],
        "names are kept as they are"
    );
}

#[tokio::test]
async fn somebody_without_groups_has_none() {
    let identity = one_sign_in(|conduct| {
        conduct.claims = |claims| {
            claims.as_object_mut().unwrap().remove("groups");
        };
    })
    .await;
    assert!(identity.groups.is_empty());
}

#[tokio::test]
async fn a_hosted_domain_is_asked_for_and_checked() {
    let provider = Provider::start("").await;
    let oidc = Oidc::new(outbound(&[&provider.url]));
    provider.behaves(|conduct| conduct.claims = |claims| claims["hd"] = json!("Example.com"));
    let config = OidcConfig {
        preset: OidcPreset::Google,
        groups_claim: None,
        hosted_domains: vec!["example.com".to_owned()],
        link_scim_by: None,
        ..provider.config()
    };
    let begun = oidc
        .begin(&config, &redirect_uri(), Some("ada@example.com"), now())
        .await
        .unwrap();
    let asked = |name: &str| value(&begun.url, name);
    assert_eq!(asked("hd").as_deref(), Some("example.com"));
    assert_eq!(asked("access_type").as_deref(), Some("offline"));
    assert_eq!(asked("login_hint").as_deref(), Some("ada@example.com"));
    assert!(!asked("scope").unwrap().contains("offline_access"));
    let identity = sign_in(&oidc, &provider, &config).await.unwrap();
    assert_eq!(identity.hosted_domain.as_deref(), Some("Example.com"));
}

#[tokio::test]
async fn two_sign_ins_have_nothing_in_common() {
    let provider = Provider::start("").await;
    let oidc = Oidc::new(outbound(&[&provider.url]));
    let config = provider.config();
    let one = oidc.begin(&config, &redirect_uri(), None, now()).await.unwrap();
    let two = oidc.begin(&config, &redirect_uri(), None, now()).await.unwrap();
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(value(&one.url, name), value(&two.url, name), "{name}");
    }
    assert_eq!(
        value(&one.url, "scope").as_deref(),
        Some("openid email profile groups offline_access")
    );
    assert!(
        !one.url.as_str().contains(&one.attempt.verifier),
        "the verifier stays here"
    );
    assert!(
        !format!("{:?}", one.attempt).contains(&one.attempt.state),
        "nor is it logged"
    );
    assert_eq!(
        provider.times_asked("/.well-known/openid-configuration"),
        1,
        "discovered once"
    );
}

#[tokio::test]
async fn an_attempt_survives_being_put_away() {
    let provider = Provider::start("").await;
    let oidc = Oidc::new(outbound(&[&provider.url]));
    let config = provider.config();
    let begun = oidc.begin(&config, &redirect_uri(), None, now()).await.unwrap();
    let kept = serde_json::to_string(&begun.attempt).unwrap();
    let query = serde_urlencoded::to_string(provider.visited(&begun.url)).unwrap();
    let callback = Callback::parse(&query).unwrap();
    let attempt = serde_json::from_str(&kept).unwrap();
    let finished = oidc
        .finish(&config, Some(&SECRET.into()), &attempt, &callback, now())
        .await;
    assert_eq!(finished.unwrap().subject, "ada");
}

#[tokio::test]
async fn a_parameter_that_comes_twice_is_refused() {
    for query in [
        "code=a&code=b&state=s",
        "code=a&state=s&state=t",
        "code=a&state=s&iss=x&iss=y",
    ] {
        assert_eq!(
            Callback::parse(query).unwrap_err().code,
            "oidc.callback_malformed",
            "{query}"
        );
    }
}

fn value(url: &Url, wanted: &str) -> Option<String> {
    url.query_pairs()
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.into_owned())
}
