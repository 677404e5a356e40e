//! The Logs tab over a bucket in memory: whose lines it shows, and until when.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use chrono::Utc;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use updraft_api::dags::NewCredential;
use updraft_api::log_layout::{LogFile, LogKey};
use updraft_api::rest::PutGrant;
use updraft_app::LogBuckets;
use updraft_model::{ClusterId, ClusterRole, CredentialConfig};
use updraft_provider::StorageAccess;
use updraft_store::secrets;

use super::{House, house_of};
use crate::fixtures::assert_accessible;

const TASK: &str = "tasks/dag_id=sales/run_id=r1/task_id=load/attempt=1.log";

#[derive(Clone, Default)]
struct Bucket(Arc<InMemory>);

// === impl Bucket ===

impl Bucket {
    async fn ship(&self, source: &str, node: &str, text: &str) {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        let key = LogKey {
            source: source.parse().unwrap(),
            file: LogFile {
                born: Utc::now(),
                mark: 1,
                node: format!("{node}-d41f6c1a09b2"),
            },
            offset: 0,
        };
        let path = Path::parse(key.render("logs/")).unwrap();
        self.0.put(&path, packed.finish().unwrap().into()).await.unwrap();
    }
}

impl LogBuckets for Bucket {
    fn open(&self, _: &StorageAccess) -> Result<Arc<dyn ObjectStore>, String> {
        Ok(Arc::clone(&self.0) as _)
    }

    fn open_foreign(&self, access: &StorageAccess) -> Result<Arc<dyn ObjectStore>, String> {
        self.open(access)
    }
}

/// A cluster that has written, which Bo may use.
async fn world() -> (House, Bucket, ClusterId) {
    let bucket = Bucket::default();
    let logs = Arc::new(bucket.clone());
    let house = house_of(|_| {}, |app| app.with_log_buckets(logs)).await;
    let cluster = house.cluster("demo").await;
    let storage = StorageAccess {
        endpoint: "http://127.0.0.1:1".into(),
        region: "us-east-1".into(),
        bucket: "b".into(),
        access_key: "key".into(),
        secret_key: "secret".into(),
        session_token: None,
    };
    let text = serde_json::to_string(&storage).unwrap().into();
    let mut tx = house.store().begin().await.unwrap();
    secrets::put(&mut tx, &house.app.config().master_key, cluster, "storage", &text)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let (ada, bo) = (
        house.actor("ada@example.com").await,
        house.actor("bo@example.com").await,
    );
    let role = PutGrant {
        role: ClusterRole::User,
    };
    house.app.put_grant(&ada, cluster, bo.user, role).await.unwrap();
    bucket
        .ship("services/scheduler", "scheduler-1", "scheduler <b>is</b> there\n")
        .await;
    bucket
        .ship(TASK, "worker-1", "Loaded 3 rows\nLoaded 4 rows\n")
        .await;
    (house, bucket, cluster)
}

#[tokio::test]
async fn an_admin_reads_services_searches_tasks_and_downloads_both() {
    let (house, _, id) = world().await;
    let token = Some(house.token("ada@example.com").await);
    let token = token.as_deref();
    let page = house.get(token, &format!("/clusters/{id}/logs")).await;
    assert_accessible(&page.html);
    assert!(
        page.html.contains("scheduler &#60;b&#62;is&#60;/b&#62; there"),
        "{}",
        page.html
    );
    assert!(!page.html.contains("Loaded"), "{}", page.html);
    let found = house
        .get(token, &format!("/clusters/{id}/logs?dag=sales&search=LOADED+4"))
        .await;
    assert!(
        found.html.contains("<mark>Loaded 4</mark> rows"),
        "{}",
        found.html
    );
    assert!(!found.html.contains("3 rows"), "{}", found.html);
    let text = house
        .get(token, &format!("/clusters/{id}/logs/text?service=tasks"))
        .await;
    assert!(
        text.html.contains("worker-1/sales.load #1  Loaded 3 rows\n"),
        "{}",
        text.html
    );
    for (wrong, why) in [
        ("since=soon", "15m"),
        ("attempt=x&dag=a&task=b", "number"),
        ("service=tasks&run=r", "dag"),
    ] {
        let refused = house.get(token, &format!("/clusters/{id}/logs?{wrong}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_accessible(&refused.html);
        assert!(
            refused.html.contains(why) && refused.html.contains("role=\"alert\""),
            "{}",
            refused.html
        );
    }
}

#[tokio::test]
async fn a_user_reads_what_tasks_wrote_and_no_address_gives_more() {
    let (house, _, id) = world().await;
    let token = Some(house.token("bo@example.com").await);
    let token = token.as_deref();
    let page = house.get(token, &format!("/clusters/{id}/logs")).await;
    assert!(
        page.html.contains("Loaded 4 rows") && !page.html.contains("is there"),
        "{}",
        page.html
    );
    for below in ["", "/older", "/text"] {
        for query in [
            "service=services",
            "service=scheduler",
            "service=services&node=scheduler-1",
        ] {
            let refused = house
                .get(token, &format!("/clusters/{id}/logs{below}?{query}"))
                .await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{below}?{query}");
            assert!(!refused.html.contains("is there"), "{}", refused.html);
        }
    }
    let stream = house
        .get(token, &format!("/live/clusters/{id}/logs?service=scheduler"))
        .await;
    assert_eq!(stream.status, StatusCode::FORBIDDEN);
    assert_eq!(
        house.get(None, &format!("/live/clusters/{id}/logs")).await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn new_lines_are_streamed_until_the_right_to_them_ends() {
    let (house, bucket, id) = world().await;
    let token = house.token("bo@example.com").await;
    let request = Request::get(format!("/live/clusters/{id}/logs?service=tasks"))
        .header(header::COOKIE, format!("updraft_session={token}"));
    let response = house.send(request.body(Body::empty()).unwrap()).await;
    let mut stream = response.into_body().into_data_stream();
    let mut read = String::new();
    let mut until = async |wanted: &str| {
        while !read.contains(wanted) {
            let chunk = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
            let chunk = chunk
                .expect("the stream stays silent")
                .expect("the stream ended")
                .unwrap();
            read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    bucket.ship(TASK, "worker-2", "Loaded <i>5</i> rows\n").await;
    until("Loaded &#60;i&#62;5").await;
    let (ada, bo) = (
        house.actor("ada@example.com").await,
        house.actor("bo@example.com").await,
    );
    house.app.remove_grant(&ada, id, bo.user).await.unwrap();
    until("event: ended").await;
}

#[tokio::test]
async fn how_long_logs_are_kept_and_where_is_changed_by_a_form_that_keeps_what_was_refused() {
    let (house, _, id) = world().await;
    let ada = house.actor("ada@example.com").await;
    let keys = NewCredential {
        name: "logs".parse().unwrap(),
        config: CredentialConfig::S3Keys {
            access_key: "AKIAACME".into(),
        },
        secret: Some("secret-of-acme".into()),
    };
    house.app.create_credential(&ada, keys).await.unwrap();
    let token = house.token("ada@example.com").await;
    let (page, form) = (
        format!("/clusters/{id}/configuration"),
        format!("/clusters/{id}/log-keeping"),
    );
    let typed = |days: &str, bucket: &str, credential: &str| {
        format!(
            "generation=1&retention_days={days}&bucket={bucket}&prefix=airflow/&region=eu-west-1&endpoint=&credential={credential}"
        )
    };
    for (wrong, field) in [
        (typed("a+week", "acme-logs", "logs"), "logs.retention_days"),
        (typed("0", "acme-logs", "logs"), "logs.retention_days"),
        (typed("30", "acme-logs", "nobodys"), "logs.bucket.credential"),
        (typed("30", "acme-logs", "No+Name"), "logs.bucket.credential"),
        (typed("30", "No_Bucket", "logs"), "logs.bucket.bucket"),
        (typed("30", "", "logs"), "logs.bucket.bucket"),
    ] {
        let refused = house.post(Some(&token), &form, &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert_accessible(&refused.html);
        let alert = refused.html.split("role=\"alert\"").nth(1).unwrap();
        assert!(alert.contains(field), "{wrong}: {}", &alert[..500]);
        assert!(refused.html.contains(r#"value="eu-west-1""#), "it is kept");
    }
    let bo = house.token("bo@example.com").await;
    let own = typed("30", "acme-logs", "logs");
    let refused = house.post(Some(&bo), &form, &own).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.html);

    let taken = house.post(Some(&token), &form, &own).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.html);
    let shown = house.get(Some(&token), &page).await.html;
    assert!(
        shown.contains(r#"value="acme-logs""#) && shown.contains(r#"value="30""#),
        "{shown}"
    );
    let stale = house.post(Some(&token), &form, &own).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let back = "generation=2&retention_days=90&bucket=&prefix=&region=&endpoint=&credential=";
    let back = house.post(Some(&token), &form, back).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.html);
    let shown = house.get(Some(&token), &page).await.html;
    assert!(!shown.contains(r#"value="acme-logs""#), "the cluster's own again");
}
