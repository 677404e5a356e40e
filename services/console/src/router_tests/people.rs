//! Who sees and may do what.

use axum::body::Body;
use axum::http::header::COOKIE;
use axum::http::{Request, StatusCode};
use futures::StreamExt as _;

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

#[tokio::test]
async fn a_rule_is_made_seen_on_the_access_tab_explained_and_removed() {
    let house = house().await;
    let (ada, bo, id) = (
        house.token("ada@example.com").await,
        house.token("bo@example.com").await,
        house.cluster("demo").await,
    );
    let form = "who=everyone&name=&role=user&target=tag&tag=env";
    let refused = house.post(Some(&ada), "/access-rules", form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_accessible(&refused.html);
    let form = "who=domain&name=%40example.com&role=user&target=every_cluster";
    let refused = house.post(Some(&ada), "/access-rules", form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.html.contains(r#"value="@example.com""#),
        "{}",
        refused.html
    );
    let form = format!("who=everyone&name=&role=user&target=cluster&cluster={id}&tag=");
    let made = house.post(Some(&ada), "/access-rules", &form).await;
    assert_eq!(made.location.as_deref(), Some("/access-rules"), "{}", made.html);

    let user = house.app.authenticate(&bo).await.unwrap().user;
    let access = house
        .get(Some(&ada), &format!("/clusters/{id}/access?why={user}"))
        .await;
    assert_accessible(&access.html);
    assert!(
        access.html.contains("Rule: everyone") && access.html.contains("is user of this cluster"),
        "{}",
        access.html
    );
    let own = house.get(Some(&bo), &format!("/clusters/{id}/access")).await;
    assert_accessible(&own.html);
    assert!(
        own.html.contains("Rule: everyone") && !own.html.contains("ada@"),
        "{}",
        own.html
    );
    assert_eq!(
        house.get(Some(&bo), "/access-rules").await.status,
        StatusCode::FORBIDDEN
    );

    let rules = house.get(Some(&ada), "/access-rules").await.html;
    let remove = rules
        .split(r#"action=""#)
        .find(|rest| rest.contains("/remove\""))
        .unwrap();
    let remove = remove.split('"').next().unwrap().to_owned();
    house.post(Some(&ada), &remove, "").await;
    assert_eq!(
        house.get(Some(&bo), &format!("/clusters/{id}")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_member_is_made_owner_and_the_last_owner_stays_one() {
    let house = house().await;
    let (ada, bo) = (
        house.token("ada@example.com").await,
        house.token("bo@example.com").await,
    );
    let path = |user| format!("/people/{user}/role");
    let user = house.app.authenticate(&bo).await.unwrap().user;
    let made = house.post(Some(&ada), &path(user), "tenant_role=owner").await;
    assert_eq!(made.location.as_deref(), Some("/people"), "{}", made.html);
    assert_eq!(house.get(Some(&bo), "/people").await.status, StatusCode::OK);
    let user = house.app.authenticate(&ada).await.unwrap().user;
    house.post(Some(&ada), &path(user), "tenant_role=member").await;
    let user = house.app.authenticate(&bo).await.unwrap().user;
    let refused = house.post(Some(&bo), &path(user), "tenant_role=member").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.html.contains("last owner"), "{}", refused.html);
}

#[tokio::test]
async fn tags_are_set_where_a_cluster_is_made_and_changed_under_configuration() {
    let house = house().await;
    let ada = house.token("ada@example.com").await;
    let form = "name=tagged&workers=1&worker_concurrency=1&tags=env%3Dprod%0D%0Ateam%3Ddata";
    let made = house.post(Some(&ada), "/clusters", form).await.location.unwrap();
    let page = house.get(Some(&ada), &format!("{made}/configuration")).await.html;
    assert_accessible(&page);
    assert!(page.contains("env=prod\nteam=data"), "{page}");
    let changed = house
        .post(Some(&ada), &format!("{made}/tags"), "generation=1&tags=env%3Ddev")
        .await;
    assert!(changed.location.is_some(), "{}", changed.html);
    let refused = house
        .post(Some(&ada), &format!("{made}/tags"), "generation=2&tags=%3Ddev")
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.html.contains("=dev</textarea>"), "{}", refused.html);
}

#[tokio::test]
async fn a_live_page_closes_when_the_rule_that_opened_it_is_removed() {
    let house = house().await;
    let (ada, bo, id) = (
        house.token("ada@example.com").await,
        house.token("bo@example.com").await,
        house.cluster("demo").await,
    );
    let form = "who=everyone&name=&role=user&target=every_cluster&tag=";
    house.post(Some(&ada), "/access-rules", form).await;
    let request =
        Request::get(format!("/live/clusters/{id}/head")).header(COOKIE, format!("updraft_session={bo}"));
    let response = house.send(request.body(Body::empty()).unwrap()).await;
    let mut chunks = response.into_body().into_data_stream();
    chunks.next().await.unwrap().unwrap();

    let actor = house.actor("ada@example.com").await;
    let rules = house
        .app
        .list_access_rules(&actor, Default::default())
        .await
        .unwrap();
    house
        .app
        .delete_access_rule(&actor, rules.items[0].id)
        .await
        .unwrap();
    let mut last = String::new();
    while let Some(chunk) = chunks.next().await {
        last.push_str(&String::from_utf8_lossy(&chunk.unwrap()));
    }
    assert!(last.contains("event: gone") && !last.contains("demo"), "{last}");
}
