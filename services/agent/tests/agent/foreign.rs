//! A tenant's own bucket as DAG source, on SeaweedFS and moto, with its event notifications: moto plays SQS.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use serde_json::{Value, json};
use updraft_agent::dags::DagEvent;
use updraft_api::agent::{DagDelivery, KeyPair, SourceDelivery, SourceFrom};
use updraft_testing::free_port;

use crate::dags::{Disk, Source, delivery};
use crate::git::look_again;
use crate::support::storage::{self, Storage, Way};

pub(crate) const BUCKET: &str = "dags-of-a-tenant";

/// S3 and SQS, without their memory after the test.
pub(crate) struct Cloud {
    child: Child,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
}

impl Cloud {
    /// None where moto is not installed.
    pub(crate) async fn new() -> Option<Self> {
        let port = free_port();
        let tools = std::env::var("UPDRAFT_TEST_TOOLS").unwrap_or_default();
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/python/bin");
        let path = format!("{tools}:{own}:{}", std::env::var("PATH").unwrap_or_default());
        let program = path.split(':').map(|at| format!("{at}/moto_server"));
        let program = program
            .into_iter()
            .find(|program| std::path::Path::new(program).exists());
        let Some(program) = program else {
            eprintln!("skipped: moto_server is neither in UPDRAFT_TEST_TOOLS, .tools nor PATH");
            return None;
        };
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cloud = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::new(),
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while cloud.put("", "").await.is_err() {
            assert!(Instant::now() < deadline, "moto never answered");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(cloud)
    }

    /// An object; the bucket for no key.
    pub(crate) async fn put(&self, key: &str, content: &'static str) -> reqwest::Result<()> {
        let request = self
            .http
            .put(format!("{}/{BUCKET}/{key}", self.url))
            .body(content);
        request
            .header("authorization", scope("s3"))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    async fn sqs(&self, action: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}/", self.url)).body(body.to_string());
        let answer = request
            .header("authorization", scope("sqs"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{action}: {}", answer.status());
        answer.json().await.unwrap_or_default()
    }

    pub(crate) async fn queue(&self) -> String {
        let made = self.sqs("CreateQueue", &json!({"QueueName": "dag-events"})).await;
        // As moto is called from outside.
        let path = url::Url::parse(made["QueueUrl"].as_str().unwrap())
            .unwrap()
            .path()
            .to_owned();
        format!("{}{path}", self.url)
    }

    pub(crate) async fn tell(&self, queue: &str, key: &str) {
        let record = json!({"Records": [{"s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}}]});
        self.sqs(
            "SendMessage",
            &json!({"QueueUrl": queue, "MessageBody": record.to_string()}),
        )
        .await;
    }

    /// Messages that are there, seen by somebody or not.
    async fn messages(&self, queue: &str) -> u64 {
        let asked = json!({"QueueUrl": queue, "AttributeNames": ["All"]});
        let found = self.sqs("GetQueueAttributes", &asked).await;
        let number = |name: &str| {
            found["Attributes"][name]
                .as_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        number("ApproximateNumberOfMessages") + number("ApproximateNumberOfMessagesNotVisible")
    }

    pub(crate) fn delivery(&self, prefix: &str, queue: Option<String>) -> DagDelivery {
        let mut delivery = delivery(vec![SourceDelivery {
            folder: String::new(),
            from: SourceFrom::S3 {
                endpoint: Some(self.url.clone()),
                region: "us-east-1".to_owned(),
                bucket: BUCKET.to_owned(),
                prefix: prefix.to_owned(),
                credential: Some(KeyPair {
                    access_key: "access".to_owned(),
                    secret_key: "secret".to_owned().into(),
                    session_token: None,
                }),
                queue_url: queue,
            },
            ca_certificate: None,
        }]);
        delivery.outbound_allow = vec![self.url.trim_start_matches("http://").to_owned()];
        delivery
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn scope(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=access/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=x"
    )
}

/// The whole of a test store's bucket as somebody else's, below `dags/`.
pub(crate) fn foreign(endpoint: &str, secret: &str) -> DagDelivery {
    let mut delivery = delivery(vec![SourceDelivery {
        folder: String::new(),
        from: SourceFrom::S3 {
            endpoint: Some(endpoint.to_owned()),
            region: "us-east-1".to_owned(),
            bucket: storage::BUCKET.to_owned(),
            prefix: "dags/".to_owned(),
            credential: Some(KeyPair {
                access_key: storage::KEY.0.to_owned(),
                secret_key: secret.into(),
                session_token: None,
            }),
            queue_url: None,
        },
        ca_certificate: None,
    }]);
    let (_, address) = endpoint.split_once("://").unwrap();
    delivery.outbound_allow = vec![address.to_owned()];
    delivery
}

pub(crate) async fn put(storage: &Storage, key: &str, content: &'static str) {
    let store = storage::client(&storage.endpoint());
    store.put(&Path::from(key), content.into()).await.unwrap();
}

async fn is_followed(storage: Option<Storage>) {
    let Some(storage) = storage else { return };
    put(&storage, "dags/a.py", "1").await;
    put(&storage, "dagsandmore/b.py", "not below the prefix").await;
    let road = storage.road().await;
    let mut disk = Disk::new();
    disk.run(&Source::new(), foreign(&road.endpoint, storage::KEY.1));
    disk.serves(&[("a.py", "1")]).await;
    put(&storage, "dags/team/b.py", "2").await;
    look_again(&disk);
    disk.serves(&[("a.py", "1"), ("team/b.py", "2")]).await;

    // Its own trouble is not the cluster's.
    road.make(Way::Away);
    put(&storage, "dags/a.py", "3").await;
    let reason = disk.lasting_trouble().await;
    assert!(reason.contains("list the DAG source"), "{reason}");
    disk.serves(&[("a.py", "1"), ("team/b.py", "2")]).await;
    road.make(Way::Open);
    look_again(&disk);
    disk.recovery().await;
    disk.serves(&[("a.py", "3"), ("team/b.py", "2")]).await;

    let store = storage::client(&storage.endpoint());
    for key in ["dags/a.py", "dags/team/b.py"] {
        store.delete(&Path::from(key)).await.unwrap();
    }
    look_again(&disk);
    let reason = disk.trouble().await;
    assert!(reason.contains("no object below the prefix"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_the_tenants_own_is_followed_on_seaweedfs() {
    is_followed(Storage::seaweed().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_the_tenants_own_is_followed_on_moto() {
    is_followed(Storage::moto().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_store_refuses_is_told() {
    let Some(storage) = Storage::seaweed().await else {
        return;
    };
    put(&storage, "dags/a.py", "1").await;
    let mut disk = Disk::new();
    disk.run(&Source::new(), foreign(&storage.endpoint(), "not its secret"));
    let reason = disk.lasting_trouble().await;
    assert!(
        reason.contains("403") && !reason.contains("not its secret"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_at_an_address_that_is_not_opened_is_refused() {
    let mut delivery = delivery(vec![SourceDelivery {
        folder: String::new(),
        from: SourceFrom::S3 {
            endpoint: Some("https://127.0.0.1".to_owned()),
            region: "us-east-1".to_owned(),
            bucket: BUCKET.to_owned(),
            prefix: String::new(),
            credential: None,
            queue_url: None,
        },
        ca_certificate: None,
    }]);
    delivery.outbound_allow = Vec::new();
    let mut disk = Disk::new();
    disk.run(&Source::new(), delivery);
    let reason = disk.trouble().await;
    assert!(reason.contains("not on the public internet"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_makes_the_source_be_looked_at_and_foreign_ones_stay_in_the_queue() {
    let Some(cloud) = Cloud::new().await else { return };
    cloud.put("dags/a.py", "1").await.unwrap();
    let queue = cloud.queue().await;
    let mut disk = Disk::new();
    disk.run(&Source::new(), cloud.delivery("dags/", Some(queue.clone())));
    disk.serves(&[("a.py", "1")]).await;
    disk.event(|event| *event == DagEvent::Synced(0)).await;

    cloud.tell(&queue, "logs/of-somebody-else").await;
    cloud.put("dags/a.py", "2").await.unwrap();
    cloud.tell(&queue, "dags/a.py").await;
    // Without the queue it would be a minute.
    let began = Instant::now();
    disk.serves(&[("a.py", "2")]).await;
    assert!(began.elapsed() < Duration::from_secs(15));
    while cloud.messages(&queue).await != 1 {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "ours was not deleted, or both were"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
