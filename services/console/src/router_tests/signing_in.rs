//! Sign-in, sign-out, hand-over, and forms from elsewhere.

use axum::http::StatusCode;

use super::house;
use crate::fixtures::assert_accessible;

#[tokio::test]
async fn a_stranger_is_asked_to_sign_in_and_returned_to_the_page_asked_for() {
    let house = house().await;
    let asked = house.get(None, "/clusters/1/nodes?x=1").await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER);
    let to_sign_in = asked.location.unwrap();
    assert_eq!(to_sign_in, "/sign-in?return_to=%2Fclusters%2F1%2Fnodes%3Fx%3D1");
    let page = house.get(None, &to_sign_in).await;
    assert_accessible(&page.html);
    assert!(
        page.html.contains(r#"value="/clusters/1/nodes?x=1""#),
        "{}",
        page.html
    );

    let form = "email=ada%40example.com&password=correct+horse+battery&return_to=%2Fclusters%2F1%2Fnodes";
    let done = house.post(None, "/sign-in", form).await;
    assert_eq!(
        (done.status, done.location.as_deref()),
        (StatusCode::SEE_OTHER, Some("/clusters/1/nodes"))
    );
    let cookie = &done.cookies[0];
    assert!(
        cookie.starts_with("updraft_session=") && cookie.contains("HttpOnly"),
        "{cookie}"
    );
    assert!(
        cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
        "{cookie}"
    );
}

#[tokio::test]
async fn a_wrong_password_says_so_keeps_the_address_and_sets_no_cookie() {
    let house = house().await;
    let refused = house
        .post(
            None,
            "/sign-in",
            "email=ada%40example.com&password=wrong&return_to=",
        )
        .await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_accessible(&refused.html);
    assert!(refused.html.contains(r#"value="ada@example.com""#) && !refused.html.contains("wrong\""));
    assert!(refused.cookies.is_empty());
}

#[tokio::test]
async fn signing_in_never_leads_to_another_site() {
    let house = house().await;
    for evil in [
        "//evil.example",
        "https%3A%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "%2F%09%2Fevil.example",
    ] {
        let form = format!("email=ada%40example.com&password=correct+horse+battery&return_to={evil}");
        let done = house.post(None, "/sign-in", &form).await;
        assert_eq!(done.location.as_deref(), Some("/clusters"), "{evil}");
    }
}

#[tokio::test]
async fn no_form_of_another_site_is_obeyed() {
    let house = house().await;
    let (token, id) = (house.token("ada@example.com").await, house.cluster("demo").await);
    for path in [
        format!("/clusters/{id}/start"),
        "/sign-out".into(),
        "/people".into(),
        "/sign-in".into(),
        "/theme".into(),
    ] {
        for origin in [
            None,
            Some("null"),
            Some("http://localhost:7701"),
            Some("http://evil.example"),
        ] {
            let refused = house.post_from(origin, Some(&token), &path, "").await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} from {origin:?}");
            assert_accessible(&refused.html);
        }
    }
    assert_eq!(
        house.get(Some(&token), "/clusters").await.status,
        StatusCode::OK,
        "still signed in"
    );
}

#[tokio::test]
async fn signing_out_ends_the_session_and_a_link_alone_does_not() {
    let house = house().await;
    let token = house.token("ada@example.com").await;
    let asked = house.get(Some(&token), "/sign-out").await;
    assert_accessible(&asked.html);
    assert_eq!(house.get(Some(&token), "/clusters").await.status, StatusCode::OK);
    let out = house.post(Some(&token), "/sign-out", "").await;
    assert!(out.cookies[0].contains("Max-Age=0"), "{:?}", out.cookies);
    assert_eq!(
        house.get(Some(&token), "/clusters").await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn the_password_is_changed_with_the_present_one_only() {
    let house = house().await;
    let token = house.token("ada@example.com").await;
    let wrong = house
        .post(
            Some(&token),
            "/account/password",
            "current=nope&new=another+good+password",
        )
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_accessible(&wrong.html);
    let form = "current=correct+horse+battery&new=another+good+password";
    let done = house.post(Some(&token), "/account/password", form).await;
    assert_eq!(
        done.location.as_deref(),
        Some("/account?changed=password"),
        "{}",
        done.html
    );
}

#[tokio::test]
async fn a_handover_goes_to_the_clusters_own_host_with_a_code_and_nowhere_else() {
    let house = house().await;
    let (token, id) = (house.token("ada@example.com").await, house.cluster("demo").await);
    let binding = "ab".repeat(32);
    let path = |host: &str, back: &str| format!("/handover?host={host}&binding={binding}&return_to={back}");
    let good = path("127.0.0.1:7701", &format!("%2Fairflow-webserver-{id}%2Fdags"));
    let sent = house.get(Some(&token), &good).await;
    let to = sent.location.unwrap();
    assert!(
        to.starts_with("http://127.0.0.1:7701/_updraft/handover?code="),
        "{to}"
    );
    for bad in [
        path("evil.example", &format!("%2Fairflow-webserver-{id}%2F")),
        path("127.0.0.1:7701", "%2F%2Fevil.example"),
        path("127.0.0.1:7701", "%2Fairflow-webserver-99%2F"),
    ] {
        let refused = house.get(Some(&token), &bad).await;
        assert_eq!(
            (refused.status, refused.location),
            (StatusCode::NOT_FOUND, None),
            "{bad}"
        );
    }
    let bo = house.token("bo@example.com").await;
    assert_eq!(
        house.get(Some(&bo), &good).await.status,
        StatusCode::NOT_FOUND,
        "Bo has no role on it"
    );

    let stranger = house.get(None, &good).await.location.unwrap();
    let back = stranger.strip_prefix("/sign-in?return_to=").unwrap();
    let form = format!("email=ada%40example.com&password=correct+horse+battery&return_to={back}");
    let moved_on = house.post(None, "/sign-in", &form).await;
    assert_eq!(
        moved_on.status,
        StatusCode::OK,
        "a redirect would be stopped by form-action"
    );
    assert!(
        moved_on
            .html
            .contains("http-equiv=\"refresh\" content=\"0;url=/handover?"),
        "{}",
        moved_on.html
    );
}
