//! The operator's page, and going from one organisation to another.

use axum::http::StatusCode;
use updraft_store::operators;

use super::{House, house};
use crate::fixtures::assert_accessible;

async fn operators_house() -> (House, String) {
    let house = house().await;
    let mut tx = house.store().begin().await.unwrap();
    operators::set(&mut tx, "ada@example.com", true).await.unwrap();
    tx.commit().await.unwrap();
    let ada = house.token("ada@example.com").await;
    (house, ada)
}

#[tokio::test]
async fn an_operator_makes_a_tenant_and_sees_its_first_password_once() {
    let (house, ada) = operators_house().await;
    let form = "name=Lab+%3Cb%3E&owner=Chi&email=chi%40lab.example";
    let made = house.post(Some(&ada), "/tenants", form).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.html);
    assert_accessible(&made.html);
    let password = made
        .html
        .split("data-copy=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    let list = house.get(Some(&ada), "/tenants").await;
    assert_accessible(&list.html);
    assert!(
        list.html.contains("Lab &#60;b&#62;") && !list.html.contains(password),
        "{}",
        list.html
    );
    let again = house.post(Some(&ada), "/tenants", form).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.html.contains("value=\"chi@lab.example\""), "{}", again.html);
}

#[tokio::test]
async fn an_operator_gives_room_and_deletes_what_is_empty() {
    let (house, ada) = operators_house().await;
    house
        .post(
            Some(&ada),
            "/tenants",
            "name=Lab&owner=Chi&email=chi%40lab.example",
        )
        .await;
    let list = house.get(Some(&ada), "/tenants").await.html;
    let links: Vec<_> = list
        .split("href=\"/tenants/")
        .skip(1)
        .filter_map(|rest| rest.split("/delete").next())
        .collect();
    let mut ids = links.into_iter();
    let (own, lab) = (ids.next().unwrap(), ids.next().unwrap());
    let saved = house
        .post(
            Some(&ada),
            &format!("/tenants/{lab}"),
            "max_clusters=3&max_nodes=7",
        )
        .await;
    assert_eq!(saved.location.as_deref(), Some("/tenants"), "{}", saved.html);
    assert_accessible(
        &house
            .get(Some(&ada), &format!("/tenants/{lab}/delete"))
            .await
            .html,
    );
    let refused = house
        .post(Some(&ada), &format!("/tenants/{own}/delete"), "")
        .await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.html);
    let gone = house
        .post(Some(&ada), &format!("/tenants/{lab}/delete"), "")
        .await;
    assert_eq!(gone.location.as_deref(), Some("/tenants"), "{}", gone.html);
    assert_eq!(
        house
            .get(Some(&ada), &format!("/tenants/{lab}/delete"))
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn an_operator_helps_somebody_whom_no_owner_may() {
    let (house, ada) = operators_house().await;
    house
        .post(Some(&ada), "/tenants", "name=Lab&owner=Bo&email=bo%40example.com")
        .await;
    let made = house
        .post(Some(&ada), "/accounts/password-link", "email=Bo%40example.com")
        .await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.html);
    assert_accessible(&made.html);
    assert!(
        made.html.contains("/password?link=") && made.html.contains("audit logs"),
        "{}",
        made.html
    );
    let removed = house
        .post(
            Some(&ada),
            "/accounts/remove-second-factor",
            "email=bo%40example.com",
        )
        .await;
    assert!(removed.html.contains("password alone"), "{}", removed.html);
    assert_accessible(&removed.html);

    for (path, email, status) in [
        ("password-link", "nobody%40example.com", StatusCode::NOT_FOUND),
        ("remove-second-factor", "ada%40example.com", StatusCode::CONFLICT),
    ] {
        let refused = house
            .post(
                Some(&ada),
                &format!("/accounts/{path}"),
                &format!("email={email}"),
            )
            .await;
        assert_eq!(refused.status, status, "{}", refused.html);
        assert_accessible(&refused.html);
        let typed = format!("value=\"{}\"", email.replace("%40", "@"));
        assert!(refused.html.contains(&typed), "{}", refused.html);
        let bo = house.token("bo@example.com").await;
        let forbidden = house
            .post(Some(&bo), &format!("/accounts/{path}"), &format!("email={email}"))
            .await;
        assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn nobody_else_sees_that_there_are_tenants() {
    let (house, _) = operators_house().await;
    let bo = house.token("bo@example.com").await;
    assert_eq!(
        house.get(Some(&bo), "/tenants").await.status,
        StatusCode::FORBIDDEN
    );
    let page = house.get(Some(&bo), "/clusters").await;
    assert!(!page.html.contains("href=\"/tenants\"") && !page.html.contains("href=\"/tenant\""));
    let form = "name=Mine&owner=Bo&email=bo%40example.com";
    assert_eq!(
        house.post(Some(&bo), "/tenants", form).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn somebody_in_two_organisations_goes_to_the_other_one() {
    let (house, ada) = operators_house().await;
    house
        .post(Some(&ada), "/tenants", "name=Lab&owner=Bo&email=bo%40example.com")
        .await;
    let bo = house.token("bo@example.com").await;
    assert!(
        house
            .get(Some(&bo), "/clusters")
            .await
            .html
            .contains("href=\"/tenant\"")
    );
    let page = house.get(Some(&bo), "/tenant").await;
    assert_accessible(&page.html);
    let lab = page
        .html
        .split("name=\"tenant\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    let gone = house.post(Some(&bo), "/tenant", &format!("tenant={lab}")).await;
    assert_eq!(gone.location.as_deref(), Some("/clusters"), "{}", gone.html);
    let cookie = gone.cookies[0].split(['=', ';']).nth(1).unwrap().to_owned();
    assert!(
        house
            .get(Some(&cookie), "/people")
            .await
            .html
            .contains("bo@example.com"),
        "an owner there"
    );
    assert_eq!(
        house.get(Some(&bo), "/clusters").await.status,
        StatusCode::SEE_OTHER,
        "the old session ended"
    );
}
