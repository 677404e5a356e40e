//! Logout, in both directions.

use serde_json::Value;
use updraft_hostile::oidc::{Provider, logout_rows, now, outbound};
use updraft_sso::Refusal;
use updraft_sso::oidc::{LogoutToken, Oidc};
use url::Url;

async fn verify(change: impl FnOnce(&mut Value)) -> Result<LogoutToken, Refusal> {
    let provider = Provider::start("").await;
    let token = provider.logout_token(change);
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
    for row in logout_rows() {
        let refusal = verify(row.change).await.unwrap_err();
        assert_eq!(refusal.code, row.refused, "{}", row.name);
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
