//! Who sees and may do what.

use axum::http::StatusCode;

use super::house;
use crate::fixtures::assert_accessible;

#[tokio::test]
async fn a_member_sees_nothing_of_what_was_not_shared_and_can_do_nothing_to_it() {
    let house = house().await;
    let (bo, id) = (house.token("bo@example.com").await, house.cluster("demo").await);
    let list = house.get(Some(&bo), "/clusters").await;
    assert!(
        list.html.contains("No cluster is shared with you yet"),
        "{}",
        list.html
    );
    for path in [
        format!("/clusters/{id}"),
        format!("/clusters/{id}/configuration"),
        "/clusters/new".into(),
    ] {
        let refused = house.get(Some(&bo), &path).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{path}");
        assert_accessible(&refused.html);
    }
    assert_eq!(
        house.get(Some(&bo), "/people").await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        house
            .post(Some(&bo), &format!("/clusters/{id}/start"), "")
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    let made = house
        .post(Some(&bo), "/clusters", "name=mine&workers=1&worker_concurrency=1")
        .await;
    assert_eq!(made.status, StatusCode::FORBIDDEN, "{}", made.html);
}

#[tokio::test]
async fn a_role_is_given_and_taken_back_on_the_access_tab() {
    let house = house().await;
    let (ada, bo, id) = (
        house.token("ada@example.com").await,
        house.token("bo@example.com").await,
        house.cluster("demo").await,
    );
    let user = house.app.authenticate(&bo).await.unwrap().user;
    let path = format!("/clusters/{id}/access");
    let given = house
        .post(Some(&ada), &path, &format!("user={user}&role=user"))
        .await;
    assert_eq!(given.location.as_deref(), Some(path.as_str()), "{}", given.html);
    assert!(
        house
            .get(Some(&ada), &path)
            .await
            .html
            .contains("Given on this cluster")
    );
    let seen = house.get(Some(&bo), &format!("/clusters/{id}")).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(
        !seen.html.contains(&format!(r#"action="/clusters/{id}/"#)),
        "a user is offered no change"
    );
    assert_eq!(
        house
            .post(Some(&bo), &format!("/clusters/{id}/start"), "")
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    house
        .post(Some(&ada), &format!("{path}/remove"), &format!("user={user}"))
        .await;
    assert_eq!(
        house.get(Some(&bo), &format!("/clusters/{id}")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn people_are_added_listed_as_text_and_removed() {
    let house = house().await;
    let ada = house.token("ada@example.com").await;
    let list = house.get(Some(&ada), "/people").await;
    assert!(
        list.html.contains("Bo &#60;b&#62;") && !list.html.contains("Bo <b>"),
        "{}",
        list.html
    );
    let form = "name=Chi&email=chi%40example.com&tenant_role=member&password=short";
    let refused = house.post(Some(&ada), "/people", form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.html.contains(r#"value="chi@example.com""#) && !refused.html.contains("short\""));
    let form = "name=Chi&email=chi%40example.com&tenant_role=member&password=correct+horse+battery";
    assert_eq!(
        house.post(Some(&ada), "/people", form).await.location.as_deref(),
        Some("/people")
    );

    let bo = house.token("bo@example.com").await;
    let user = house.app.authenticate(&bo).await.unwrap().user;
    assert_accessible(
        &house
            .get(Some(&ada), &format!("/people/{user}/remove"))
            .await
            .html,
    );
    house
        .post(Some(&ada), &format!("/people/{user}/remove"), "")
        .await;
    assert_eq!(
        house.get(Some(&bo), "/clusters").await.status,
        StatusCode::SEE_OTHER,
        "signed out at once"
    );
}
