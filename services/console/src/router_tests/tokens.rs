//! API tokens, service accounts, sessions and devices, by forms.

use axum::http::StatusCode;

use super::house;
use crate::fixtures::assert_accessible;

#[tokio::test]
async fn a_token_is_shown_once_listed_by_its_end_and_revoked() {
    let house = house().await;
    let ada = house.token("ada@example.com").await;
    let form = "name=nightly+%3Cb%3E&role=user&days=30&service_account=";
    let made = house.post(Some(&ada), "/tokens", form).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.html);
    assert_accessible(&made.html);
    let text = made.html.split("<code>upd_t_").nth(1).unwrap();
    let token = format!("upd_t_{}", &text[..49]);
    assert_eq!(
        house.app.authenticate(&token).await.unwrap().email,
        "ada@example.com"
    );

    let list = house.get(Some(&ada), "/tokens").await;
    assert!(
        !list.html.contains(&token) && list.html.contains(&token[51..]),
        "{}",
        list.html
    );
    assert!(list.html.contains("nightly &#60;b&#62;"), "{}", list.html);
    assert_eq!(
        house.get(Some(&token), "/tokens").await.status,
        StatusCode::SEE_OTHER,
        "a token is no session"
    );

    let revoke = list.html.split(r#"action="/tokens/"#).nth(1).unwrap();
    let path = format!("/tokens/{}", revoke.split('"').next().unwrap());
    let foreign = house
        .post_from(Some("http://evil.example"), Some(&ada), &path, "")
        .await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    assert!(house.app.authenticate(&token).await.is_ok());
    let revoked = house.post(Some(&ada), &path, "").await;
    assert_eq!(revoked.location.as_deref(), Some("/tokens"), "{}", revoked.html);
    assert!(house.app.authenticate(&token).await.is_err());
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_said_beside_its_form() {
    let house = house().await;
    let ada = house.token("ada@example.com").await;
    for form in [
        "name=a&role=user&days=0",
        "name=a&role=user&days=many",
        "name=+&role=user&days=1",
        "name=a&role=scim&days=1",
    ] {
        let refused = house.post(Some(&ada), "/tokens", form).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert!(refused.html.contains(r#"role="alert""#), "{form}");
    }
}

#[tokio::test]
async fn owners_alone_make_and_delete_service_accounts() {
    let house = house().await;
    let (ada, bo) = (
        house.token("ada@example.com").await,
        house.token("bo@example.com").await,
    );
    let refused = house.post(Some(&bo), "/service-accounts", "name=ci").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        !house
            .get(Some(&bo), "/tokens")
            .await
            .html
            .contains("Service accounts")
    );
    let made = house.post(Some(&ada), "/service-accounts", "name=ci").await;
    assert_eq!(made.location.as_deref(), Some("/tokens"), "{}", made.html);
    let list = house.get(Some(&ada), "/tokens").await;
    let path = list.html.split(r#"href="/service-accounts/"#).nth(1).unwrap();
    let path = format!("/service-accounts/{}", path.split('"').next().unwrap());
    let question = house.get(Some(&ada), &path).await;
    assert_accessible(&question.html);
    house.post(Some(&ada), &path, "").await;
    assert_eq!(house.get(Some(&ada), &path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn signing_out_everywhere_else_leaves_this_session() {
    let house = house().await;
    let (here, there) = (
        house.token("bo@example.com").await,
        house.token("bo@example.com").await,
    );
    let page = house.get(Some(&here), "/account").await;
    assert!(page.html.contains("this one"), "{}", page.html);
    let one = page.html.split(r#"action="/account/sessions/"#).nth(2).unwrap();
    let one = format!("/account/sessions/{}", one.split('"').next().unwrap());
    house.post(Some(&here), &one, "").await;
    assert!(house.app.authenticate(&there).await.is_err());
    let there = house.token("bo@example.com").await;
    house.post(Some(&here), "/account/sessions/end", "").await;
    assert!(house.app.authenticate(&there).await.is_err());
    assert!(house.app.authenticate(&here).await.is_ok());
}

#[tokio::test]
async fn a_device_is_let_in_by_whoever_typed_its_code_and_was_asked() {
    let house = house().await;
    let bo = house.token("bo@example.com").await;
    let from = [127, 0, 0, 1].into();
    let device = house
        .app
        .authorize_device("updraft on <laptop>", from)
        .await
        .unwrap();
    let path = format!("/device?code={}", device.user_code);
    let stranger = house.get(None, &path).await;
    assert_eq!(stranger.status, StatusCode::SEE_OTHER, "signs in first");
    let empty = house.get(Some(&bo), "/device").await;
    assert_accessible(&empty.html);
    let wrong = house.get(Some(&bo), "/device?code=BBBB-BBBB").await;
    assert_eq!(wrong.status, StatusCode::NOT_FOUND, "{}", wrong.html);

    let question = house.get(Some(&bo), &path).await;
    assert_accessible(&question.html);
    assert!(
        question.html.contains("updraft on &#60;laptop&#62;"),
        "{}",
        question.html
    );
    let form = format!("code={}&decision=approve", device.user_code);
    let foreign = house
        .post_from(Some("http://evil.example"), Some(&bo), "/device", &form)
        .await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let pending = house
        .app
        .poll_device(&device.device_code, from, None)
        .await
        .unwrap();
    assert!(pending.is_err());
    let approved = house.post(Some(&bo), "/device", &form).await;
    assert_eq!(
        approved.location.as_deref(),
        Some("/device?done=approve"),
        "{}",
        approved.html
    );
    let token = house
        .app
        .poll_device(&device.device_code, from, None)
        .await
        .unwrap();
    let token = token.unwrap_or_else(|error| panic!("{error:?}")).access_token;
    assert_eq!(
        house.app.authenticate_session(&token).await.unwrap().email,
        "bo@example.com"
    );
}
