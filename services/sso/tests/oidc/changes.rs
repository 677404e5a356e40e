//! What changes between sign-ins: keys, groups, people.

use jsonwebtoken::Algorithm;
use secrecy::ExposeSecret as _;
use serde_json::json;
use updraft_hostile::oidc::{Conduct, Key, Provider, Reply, SECRET, Signing, now, outbound, redirect_uri};
use updraft_sso::oidc::{Oidc, Refreshed};
use updraft_sso::{Refusal, VouchedIdentity};

use crate::sign_in::sign_in;

async fn refresh(subject: &str, change: impl FnOnce(&mut Conduct)) -> Result<Refreshed, Refusal> {
    let provider = Provider::start("").await;
    // Nobody's browser is there to bring a nonce.
    provider.behaves(|conduct| {
        conduct.claims = |claims| {
            claims.as_object_mut().unwrap().remove("nonce");
        };
    });
    provider.behaves(change);
    let oidc = Oidc::new(outbound(&[&provider.url]));
    let token = "a-refresh-token".into();
    oidc.refresh(&provider.config(), Some(&SECRET.into()), subject, &token, now())
        .await
}

fn vouched(refreshed: Result<Refreshed, Refusal>) -> VouchedIdentity {
    match refreshed.unwrap() {
        Refreshed::Vouched(identity) => *identity,
        Refreshed::Gone(refusal) => panic!("gone: {refusal}"),
    }
}

#[tokio::test]
async fn groups_that_changed_are_noticed() {
    let identity = vouched(refresh("ada", |conduct| conduct.groups = json!(["everyone"])).await);
    assert_eq!(identity.groups, ["everyone"]);
    assert_eq!(identity.refresh_token.unwrap().expose_secret(), "a-refresh-token");
}

#[tokio::test]
async fn a_refresh_token_that_was_replaced_is_the_next_one() {
    let identity = vouched(
        refresh("ada", |conduct| {
            conduct.tokens = |tokens| tokens["refresh_token"] = json!("the next");
        })
        .await,
    );
    assert_eq!(identity.refresh_token.unwrap().expose_secret(), "the next");
}

#[tokio::test]
async fn one_that_was_not_replaced_stays() {
    let identity = vouched(
        refresh("ada", |conduct| {
            conduct.tokens = |tokens| {
                tokens.as_object_mut().unwrap().remove("refresh_token");
            };
        })
        .await,
    );
    assert_eq!(identity.refresh_token.unwrap().expose_secret(), "a-refresh-token");
}

#[tokio::test]
async fn without_a_new_id_token_userinfo_says_the_groups() {
    let identity = vouched(
        refresh("ada", |conduct| {
            conduct.userinfo["groups"] = json!(["from-userinfo"]);
            conduct.tokens = |tokens| {
                tokens.as_object_mut().unwrap().remove("id_token");
            };
        })
        .await,
    );
    assert_eq!(identity.groups, ["from-userinfo"]);
}

#[tokio::test]
async fn somebody_whom_the_provider_no_longer_knows_is_gone() {
    let refreshed = refresh("ada", |conduct| {
        let body = json!({"error": "invalid_grant"}).to_string();
        conduct.instead.insert("/token", Reply::Says(400, body));
    })
    .await;
    assert!(matches!(refreshed.unwrap(), Refreshed::Gone(refusal) if refusal.code == "oidc.person_gone"));
}

#[tokio::test]
async fn a_provider_that_is_down_says_nothing_of_the_person() {
    for reply in [Reply::Says(500, String::new()), Reply::html(), Reply::Never] {
        let refreshed = refresh("ada", |conduct| {
            conduct.instead.insert("/token", reply);
        })
        .await;
        assert!(refreshed.is_err());
    }
    let client_changed = refresh("ada", |conduct| {
        let body = json!({"error": "invalid_client"}).to_string();
        conduct.instead.insert("/token", Reply::Says(401, body));
    })
    .await;
    assert_eq!(client_changed.unwrap_err().code, "oidc.client_refused");
}

#[tokio::test]
async fn an_answer_about_another_person_is_refused() {
    let refusal = refresh("grace", |_| {}).await.unwrap_err();
    assert_eq!(refusal.code, "oidc.wrong_subject");
    let refusal = refresh("grace", |conduct| {
        conduct.tokens = |tokens| {
            tokens.as_object_mut().unwrap().remove("id_token");
        };
    })
    .await
    .unwrap_err();
    assert_eq!(refusal.code, "oidc.userinfo_of_another");
}

#[tokio::test]
async fn rotated_keys_are_found_at_once() {
    let provider = Provider::start("").await;
    let oidc = Oidc::new(outbound(&[&provider.url]));
    let config = provider.config();
    sign_in(&oidc, &provider, &config).await.unwrap();
    sign_in(&oidc, &provider, &config).await.unwrap();
    assert_eq!(provider.times_asked("/keys"), 1, "kept");
    let next = Key::new("second", Algorithm::EdDSA);
    provider.behaves(|conduct| {
        conduct.keys = vec![next.clone()];
        conduct.signing = Signing::With(next);
        conduct.claims = |claims| {
            claims.as_object_mut().unwrap().remove("at_hash");
        };
    });
    sign_in(&oidc, &provider, &config).await.unwrap();
    assert_eq!(provider.times_asked("/keys"), 2);
}

#[tokio::test]
async fn unknown_keys_do_not_make_us_ask_without_end() {
    let provider = Provider::start("").await;
    let oidc = Oidc::new(outbound(&[&provider.url]));
    let config = provider.config();
    sign_in(&oidc, &provider, &config).await.unwrap();
    let honest = provider.token(|_| {});
    provider.behaves(|conduct| conduct.signing = Signing::With(Key::new("unknown", Algorithm::ES256)));
    for _ in 0..20 {
        let token = provider.token(|claims| claims["sub"] = json!("ada"));
        let refused = oidc.verify_logout_token(&config, &token, now()).await;
        assert_eq!(refused.unwrap_err().code, "oidc.unknown_key");
    }
    assert!(
        provider.times_asked("/keys") <= 6,
        "{}",
        provider.times_asked("/keys")
    );
    // Whoever sends such tokens uses up nobody's looks for a sign-in; and known keys work all the while.
    let changed = Key::new("third", Algorithm::ES256);
    provider.behaves(|conduct| {
        conduct.keys.push(changed.clone());
        conduct.signing = Signing::With(changed);
    });
    sign_in(&oidc, &provider, &config).await.unwrap();
    let known = oidc.verify_logout_token(&config, &honest, now()).await;
    assert_eq!(known.unwrap_err().code, "oidc.logout_not_meant");
}

#[tokio::test]
async fn while_a_provider_is_away_one_person_waits_for_it_and_not_everybody() {
    const DISCOVERY: &str = "/.well-known/openid-configuration";
    let provider = Provider::start("").await;
    provider.behaves(|conduct| {
        conduct.instead.insert(DISCOVERY, Reply::Never);
    });
    let oidc = Oidc::new(outbound(&[&provider.url]));
    let config = provider.config();
    for _ in 0..3 {
        let refusal = sign_in(&oidc, &provider, &config).await.unwrap_err();
        assert_eq!(refusal.code, "oidc.slow");
    }
    assert_eq!(provider.times_asked(DISCOVERY), 1, "the first waited");

    provider.behaves(|conduct| conduct.instead.clear());
    assert!(
        sign_in(&oidc, &provider, &config).await.is_err(),
        "for seconds yet"
    );
    sign_in(&Oidc::new(outbound(&[&provider.url])), &provider, &config)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_provider_that_passes_its_test_is_away_no_longer() {
    let provider = Provider::start("").await;
    let (oidc, config) = (Oidc::new(outbound(&[&provider.url])), provider.config());
    provider.behaves(|conduct| {
        conduct.instead.insert(
            "/.well-known/openid-configuration",
            Reply::Says(502, String::new()),
        );
    });
    sign_in(&oidc, &provider, &config).await.unwrap_err();
    provider.behaves(|conduct| conduct.instead.clear());
    oidc.test(&config, Some(&SECRET.into()), &redirect_uri(), now())
        .await;
    sign_in(&oidc, &provider, &config).await.unwrap();
}
