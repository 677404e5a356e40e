//! The audit page, and what the console itself leaves in the log.

use axum::http::StatusCode;

use super::house;
use crate::fixtures::assert_accessible;

#[tokio::test]
async fn an_owner_reads_and_filters_the_log_and_a_member_does_not() {
    let house = house().await;
    let (ada, bo) = (
        house.token("ada@example.com").await,
        house.token("bo@example.com").await,
    );
    house.cluster("demo").await;
    let all = house.get(Some(&ada), "/audit").await;
    assert_accessible(&all.html);
    assert!(
        all.html.contains("cluster.create") && all.html.contains("person.add"),
        "{}",
        all.html
    );
    let people = house
        .get(Some(&ada), "/audit?action=person.&since=2020-01-01")
        .await;
    assert!(
        people.html.contains("person.add") && !people.html.contains("<code>cluster.create"),
        "{}",
        people.html
    );
    assert!(
        people
            .html
            .contains("/api/v1/audit.ndjson?action=person.&#38;since=2020-01-01T00"),
        "{}",
        people.html
    );
    let wrong = house.get(Some(&ada), "/audit?since=soon").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_accessible(&wrong.html);
    assert_eq!(house.get(Some(&bo), "/audit").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_the_console_refuses_is_in_the_log_with_its_reason() {
    let house = house().await;
    let (ada, bo) = (
        house.token("ada@example.com").await,
        house.token("bo@example.com").await,
    );
    let id = house.cluster("demo").await;
    house.post(Some(&bo), &format!("/clusters/{id}/stop"), "").await;
    house
        .post(None, "/sign-in", "email=bo%40example.com&password=a+wrong+guess")
        .await;
    house
        .post_from(
            Some("https://evil.example"),
            Some(&ada),
            &format!("/clusters/{id}/stop"),
            "",
        )
        .await;
    let log = house.get(Some(&ada), "/audit?outcome=refused").await.html;
    for (action, reason) in [
        ("cluster.stop", "cluster-not-found"),
        ("sign_in.password", "wrong-credentials"),
    ] {
        assert!(
            log.contains(&format!("<code>{action}")) && log.contains(reason),
            "{action}: {log}"
        );
    }
    // Who steers her browser is not known to act for her: it is nobody's, and no tenant's.
    assert!(!log.contains("cross-site"), "{log}");
}

#[tokio::test]
async fn a_change_in_the_console_is_recorded_under_the_id_of_the_answer() {
    let house = house().await;
    let ada = house.token("ada@example.com").await;
    let form = "name=Chi&email=chi%40example.com&tenant_role=member&password=correct+horse+battery";
    let answer = house.post(Some(&ada), "/people", form).await;
    let id = answer.request_id.unwrap();
    let log = house
        .get(Some(&ada), "/audit?target=chi%40example.com")
        .await
        .html;
    assert!(log.contains(&id) && log.contains("person.add"), "{log}");
    assert!(!log.contains("correct horse"), "{log}");
}
