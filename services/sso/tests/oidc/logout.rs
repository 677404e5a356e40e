//! Logout, in both directions.

use serde_json::{Value, json};
use updraft_sso::Refusal;
use updraft_sso::oidc::{LogoutToken, Oidc};
use url::Url;

use crate::provider::{Provider, now, outbound};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

async fn verify(change: impl FnOnce(&mut Value)) -> Result<LogoutToken, Refusal> {
    let provider = Provider::start("").await;
    let token = provider.token(|claims| {
        claims["jti"] = json!("logout-1");
        claims["sub"] = json!("ada");
        claims["sid"] = json!("session-1");
        claims["exp"] = json!(now().timestamp() + 120);
        claims["events"] = json!({EVENT: {}});
        change(claims);
    });
    let oidc = Oidc::new(outbound(&[&provider.url]));
    oidc.verify_logout_token(&provider.config(), &token, now()).await
}

#[tokio::test]
async fn a_provider_ends_one_session_or_all_of_a_person() {
    let token = verify(|_| {}).await.unwrap();
    assert_eq!(
        (token.subject.as_deref(), token.session.as_deref()),
        (Some("ada"), Some("session-1"))
    );
    assert_eq!(token.id, "logout-1");
    let all = verify(|claims| {
        claims.as_object_mut().unwrap().remove("sid");
        claims.as_object_mut().unwrap().remove("exp");
    })
    .await
    .unwrap();
    assert_eq!((all.subject.as_deref(), all.session), (Some("ada"), None));
    assert!(all.expires_at > all.issued_at);
}

#[tokio::test]
async fn whatever_else_is_signed_ends_no_session() {
    type Change = fn(&mut Value);
    let rows: [(&str, &str, Change); 13] = [
        ("an ID token", "oidc.logout_not_meant", |claims| {
            claims["nonce"] = json!("n");
            claims.as_object_mut().unwrap().remove("events");
        }),
        ("with a nonce", "oidc.logout_not_meant", |claims| {
            claims["nonce"] = json!("n");
        }),
        ("another event", "oidc.logout_not_meant", |claims| {
            claims["events"] = json!({"https://other": {}});
        }),
        ("an event that is a word", "oidc.logout_not_meant", |claims| {
            claims["events"] = json!(EVENT);
        }),
        ("an event that says nothing", "oidc.logout_not_meant", |claims| {
            claims["events"] = json!({EVENT: true});
        }),
        ("wrong issuer", "oidc.wrong_issuer", |claims| {
            claims["iss"] = json!("https://attacker.example");
        }),
        ("wrong audience", "oidc.wrong_audience", |claims| {
            claims["aud"] = json!("other");
        }),
        ("nobody's", "oidc.logout_incomplete", |claims| {
            claims.as_object_mut().unwrap().remove("sub");
            claims.as_object_mut().unwrap().remove("sid");
        }),
        ("without an id", "oidc.logout_incomplete", |claims| {
            claims.as_object_mut().unwrap().remove("jti");
        }),
        ("without a time", "oidc.logout_incomplete", |claims| {
            claims.as_object_mut().unwrap().remove("iat");
        }),
        ("expired", "oidc.logout_out_of_time", |claims| {
            claims["exp"] = json!(now().timestamp() - 61);
        }),
        ("old, and good for ever", "oidc.logout_out_of_time", |claims| {
            claims["iat"] = json!(now().timestamp() - 3600);
            claims["exp"] = json!(now().timestamp() + 86_400);
        }),
        ("from the future", "oidc.logout_out_of_time", |claims| {
            claims["iat"] = json!(now().timestamp() + 90);
        }),
    ];
    for (name, refused, change) in rows {
        assert_eq!(verify(change).await.unwrap_err().code, refused, "{name}");
    }
    let provider = Provider::start("").await;
    let oidc = Oidc::new(outbound(&[&provider.url]));
    for token in ["", "a.b", "eyJhbGciOiJub25lIn0.e30."] {
        let refused = oidc.verify_logout_token(&provider.config(), token, now()).await;
        assert!(refused.is_err(), "{token}");
    }
}

#[tokio::test]
async fn a_browser_is_sent_to_end_the_session_at_the_provider_too() {
    let provider = Provider::start("").await;
    let oidc = Oidc::new(outbound(&[&provider.url]));
    let back = Url::parse("http://localhost:7700/signed-out").unwrap();
    let id_token = "id.token.x".into();
    let url = oidc
        .logout_url(&provider.config(), Some(&id_token), &back, Some("s"))
        .await
        .unwrap()
        .unwrap();
    let expected = format!(
        "{}/logout?tenant=7&client_id=updraft&post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A7700%2Fsigned-out\
         &id_token_hint=id.token.x&state=s",
        provider.url
    );
    assert_eq!(url.as_str(), expected);
}

#[tokio::test]
async fn a_provider_without_such_a_place_has_none() {
    let provider = Provider::start("").await;
    provider.behaves(|conduct| {
        conduct
            .document
            .as_object_mut()
            .unwrap()
            .remove("end_session_endpoint");
    });
    let oidc = Oidc::new(outbound(&[&provider.url]));
    let back = Url::parse("http://localhost:7700/signed-out").unwrap();
    let url = oidc.logout_url(&provider.config(), None, &back, None).await;
    assert_eq!(url.unwrap(), None);
}
