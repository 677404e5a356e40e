//! Making, changing and deleting clusters by forms.

use axum::http::StatusCode;

use super::house;
use crate::fixtures::assert_accessible;

#[tokio::test]
async fn a_cluster_is_created_started_stopped_and_deleted_by_forms() {
    let house = house().await;
    let token = Some(house.token("ada@example.com").await);
    let token = token.as_deref();
    let form = "name=demo&runtime=airflow-3.3.2&workers=1&worker_concurrency=2";
    let created = house.post(token, "/clusters", form).await;
    let home = created.location.unwrap();
    assert_eq!(home, "/clusters/1", "{}", created.html);
    for (verb, then) in [("start", "Stop"), ("restart", "Stop"), ("stop", "Start")] {
        assert_eq!(
            house.post(token, &format!("{home}/{verb}"), "").await.status,
            StatusCode::SEE_OTHER,
            "{verb}"
        );
        let page = house.get(token, &home).await;
        assert_accessible(&page.html);
        assert!(
            page.html.contains(&format!("</svg>{then}</button>")),
            "{verb}: {}",
            page.html
        );
    }
    let wrong = house.post(token, "/clusters/1/delete", "confirm=dem").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.html.contains("nothing was deleted"), "{}", wrong.html);
    let deleted = house.post(token, "/clusters/1/delete", "confirm=demo").await;
    assert_eq!(deleted.location.as_deref(), Some("/clusters"));
    assert!(
        house.get(token, "/clusters").await.html.contains("Watch"),
        "what was asked is under way"
    );
}

#[tokio::test]
async fn a_refused_cluster_keeps_what_was_typed() {
    let house = house().await;
    let token = house.token("ada@example.com").await;
    house.cluster("demo").await;
    for (name, why) in [
        ("Demo", "is not a cluster name"),
        ("demo", "already has a cluster named"),
    ] {
        let form = format!("name={name}&runtime=airflow-3.3.2&workers=3&worker_concurrency=2");
        let refused = house.post(Some(&token), "/clusters", &form).await;
        assert!(refused.status.is_client_error());
        assert_accessible(&refused.html);
        assert!(
            refused.html.contains(why) && refused.html.contains(r#"value="3""#),
            "{}",
            refused.html
        );
    }
}

#[tokio::test]
async fn an_option_is_set_refused_by_name_protected_from_overwriting_and_reset() {
    let house = house().await;
    let (token, id) = (house.token("ada@example.com").await, house.cluster("demo").await);
    let path = format!("/clusters/{id}/configuration");
    let set = |generation: i64, key: &str, value: &str, verb: &str| {
        format!("generation={generation}&key={key}&value={value}&change={verb}")
    };
    let done = house
        .post(Some(&token), &path, &set(1, "core.parallelism", "64", "set"))
        .await;
    let yours = format!("{path}?show=yours");
    assert_eq!(done.location.as_deref(), Some(yours.as_str()), "{}", done.html);
    assert!(
        house
            .get(Some(&token), &yours)
            .await
            .html
            .contains("instead of <code>32</code>")
    );

    let stale = house
        .post(Some(&token), &path, &set(1, "core.parallelism", "65", "set"))
        .await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert!(
        stale.html.contains("Somebody was faster") && stale.html.contains(r#"value="65""#),
        "{}",
        stale.html
    );

    for key in ["core.executor", "core.no_such_option"] {
        let refused = house.post(Some(&token), &path, &set(2, key, "x", "set")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{key}");
        assert!(
            refused.html.contains(key) && refused.html.contains(r#"role="alert""#),
            "{}",
            refused.html
        );
    }
    house
        .post(Some(&token), &path, &set(2, "core.parallelism", "", "reset"))
        .await;
    assert!(
        !house
            .get(Some(&token), &path)
            .await
            .html
            .contains(">Yours</span>")
    );
    let resized = house
        .post(
            Some(&token),
            &format!("/clusters/{id}/size"),
            "generation=3&workers=2&worker_concurrency=8",
        )
        .await;
    assert_eq!(resized.status, StatusCode::SEE_OTHER, "{}", resized.html);
}

#[tokio::test]
async fn queues_and_a_schedule_are_set_by_forms_and_what_is_refused_is_kept() {
    let house = house().await;
    let token = house.token("ada@example.com").await;
    let form = "name=demo&workers=1&worker_concurrency=2&worker_queues=heavy%3D2%2Cconcurrency%3D1";
    let made = house
        .post(Some(&token), "/clusters", form)
        .await
        .location
        .unwrap();
    let shown = house.get(Some(&token), &made).await.html;
    assert!(shown.contains("heavy: 2 workers × 1 tasks at once"), "{shown}");

    for (path, wrong, kept) in [
        (
            "size",
            "workers=1&worker_concurrency=2&worker_queues=heavy",
            ">heavy</textarea>",
        ),
        (
            "size",
            "workers=1&worker_concurrency=2&worker_queues=a%3D21",
            ">a=21</textarea>",
        ),
        ("schedule", "start=often&stop=&time_zone=UTC", r#"value="often""#),
        (
            "schedule",
            "start=&stop=&time_zone=&stop_when_idle=soon",
            r#"value="soon""#,
        ),
    ] {
        let form = format!("generation=1&{wrong}");
        let refused = house.post(Some(&token), &format!("{made}/{path}"), &form).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert_accessible(&refused.html);
        assert!(refused.html.contains(kept), "{}", refused.html);
    }
    let form = "generation=1&start=0+7+*+*+1-5&stop=0+20+*+*+1-5&time_zone=Europe%2FBerlin&stop_when_idle=2h";
    let done = house.post(Some(&token), &format!("{made}/schedule"), form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.html);
    let shown = house.get(Some(&token), &made).await.html;
    assert!(shown.contains("starts ") && shown.contains(" UTC"), "{shown}");
    let form = house
        .get(Some(&token), &format!("{made}/configuration"))
        .await
        .html;
    assert!(form.contains(r#"value="2h""#), "{form}");
}
