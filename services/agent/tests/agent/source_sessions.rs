//! A tenant's bucket and its queue, read by a role's sessions: the role's policy counts (moto looks at it), sessions end, and
//! the next one takes the place of the last without anything begun anew.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use updraft_agent::dags::{self, DagEvent};
use updraft_agent::{Layout, Place};
use updraft_api::agent::{DagDelivery, KeyPair, SourceFrom};

use crate::foreign::{Cloud, scope};
use crate::gate::Gate;
use crate::support::storage::{self, Storage};

const ROLE: &str = "arn:aws:iam::123456789012:role/airflow-dags";
const LONGEST: Duration = Duration::from_secs(30);

/// All that reading takes, and no more.
const RIGHTS: [&str; 4] = [
    "s3:ListBucket",
    "s3:GetObject",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
];

impl Cloud {
    /// A call of the Query protocol.
    async fn query(&self, service: &str, form: &[(&str, &str)]) -> String {
        let form = form.iter().fold(String::new(), |form, (name, value)| {
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            format!("{form}{name}={value}&")
        });
        let asked = self
            .http
            .post(format!("{}/", self.url))
            .header("authorization", scope(service))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = asked.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{status}: {text}");
        text
    }

    async fn role(&self) {
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]})
        .to_string();
        let rights = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": RIGHTS, "Resource": "*"}]})
        .to_string();
        let name = ("RoleName", "airflow-dags");
        let made = [
            ("Action", "CreateRole"),
            name,
            ("AssumeRolePolicyDocument", &trust),
        ];
        self.query("iam", &made).await;
        let given = [
            ("Action", "PutRolePolicy"),
            name,
            ("PolicyName", "read"),
            ("PolicyDocument", &rights),
        ];
        self.query("iam", &given).await;
    }

    /// A session of the role.
    async fn session(&self) -> KeyPair {
        let asked = [
            ("Action", "AssumeRole"),
            ("RoleArn", ROLE),
            ("RoleSessionName", "updraft-aws"),
        ];
        let told = self.query("sts", &asked).await;
        let word = |tag: &str| {
            let (_, rest) = told.split_once(&format!("<{tag}>")).unwrap();
            rest.split_once('<').unwrap().0.to_owned()
        };
        KeyPair {
            access_key: word("AccessKeyId"),
            secret_key: word("SecretAccessKey").into(),
            session_token: Some(word("SessionToken").into()),
        }
    }

    /// Whether rights and signatures count from now on.
    async fn demands_rights(&self, demands: bool) {
        let unasked = if demands { "0" } else { "inf" };
        let asked = self.http.post(format!("{}/moto-api/reset-auth", self.url));
        asked
            .body(unasked)
            .send()
            .await
            .unwrap()
            .error_for_status()
            .unwrap();
    }

    /// As its owner.
    async fn change(&self, content: &'static str) {
        self.demands_rights(false).await;
        self.put("dags/a.py", content).await.unwrap();
        self.demands_rights(true).await;
    }
}

/// The delivery of an agent whose control changes its mind.
struct Delivering {
    _dir: tempfile::TempDir,
    layout: Layout,
    delivery: watch::Sender<Option<DagDelivery>>,
    events: mpsc::Receiver<DagEvent>,
    /// How often each version was told to be published: once more whenever delivering begins anew.
    published: BTreeMap<String, u32>,
}

impl Delivering {
    fn begin(delivery: DagDelivery) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::ensure(Place::open(&dir.path().join("node"), None).unwrap()).unwrap();
        let (tell, events) = mpsc::channel(1000);
        let (delivery, told) = watch::channel(Some(delivery));
        let address = "127.0.0.1".parse().unwrap();
        tokio::spawn(dags::deliver(layout.clone(), address, told, tell));
        Self {
            _dir: dir,
            layout,
            delivery,
            events,
            published: BTreeMap::new(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut DagDelivery)) {
        self.delivery
            .send_modify(|delivery| change(delivery.as_mut().unwrap()));
    }

    fn go_on_by(&self, session: &KeyPair) {
        self.change(|delivery| *credential(delivery) = Some(session.clone()));
    }

    async fn event(&mut self, wanted: impl Fn(&DagEvent) -> bool) -> DagEvent {
        let found = async {
            loop {
                let event = self.events.recv().await.unwrap();
                if let DagEvent::Published(version) = &event {
                    *self.published.entry(version.digest.clone()).or_default() += 1;
                }
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(LONGEST, found).await.unwrap()
    }

    async fn serves(&mut self, content: &str) {
        let dags = self.layout.path("dags");
        let shown = || {
            let live = std::fs::read_to_string(dags.join("current")).ok()?;
            std::fs::read_to_string(dags.join("versions").join(live.trim()).join("a.py")).ok()
        };
        while shown().as_deref() != Some(content) {
            self.event(|event| matches!(event, DagEvent::Live(_))).await;
        }
    }

    /// Looks again and again until a source is in trouble.
    async fn trouble(&mut self) -> String {
        let delivery = self.delivery.clone();
        let looking = tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(200));
            loop {
                pace.tick().await;
                delivery.send_modify(|delivery| delivery.as_mut().unwrap().sync_nonce += 1);
            }
        });
        let troubled = |event: &DagEvent| matches!(event, DagEvent::Source(state) if state.trouble.is_some());
        let event = self.event(troubled).await;
        looking.abort();
        let DagEvent::Source(state) = event else {
            unreachable!("asked for")
        };
        state.trouble.unwrap()
    }
}

fn token(session: &KeyPair) -> &str {
    session.session_token.as_ref().unwrap().expose_secret()
}

fn credential(delivery: &mut DagDelivery) -> &mut Option<KeyPair> {
    match &mut delivery.sources[0].from {
        SourceFrom::S3 { credential, .. } => credential,
        other => panic!("{other:?}"),
    }
}

/// From the cloud by the gate, into a bucket of the cluster's own.
fn delivery(cloud: &Cloud, queue: &str, gate: SocketAddr, own: &Storage, session: &KeyPair) -> DagDelivery {
    let by_gate = |url: &str| url.replace(&cloud.url, &format!("http://{gate}"));
    let mut delivery = cloud.delivery("dags/", Some(by_gate(queue)));
    *credential(&mut delivery) = Some(session.clone());
    if let SourceFrom::S3 { endpoint, .. } = &mut delivery.sources[0].from {
        *endpoint = Some(format!("http://{gate}"));
    }
    DagDelivery {
        endpoint: own.endpoint(),
        bucket: storage::BUCKET.to_owned(),
        access_key: storage::KEY.0.to_owned(),
        secret_key: storage::KEY.1.into(),
        outbound_allow: vec![gate.to_string()],
        ..delivery
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_and_its_queue_are_read_by_sessions_that_follow_each_other_and_nothing_begins_anew() {
    let (Some(cloud), Some(own)) = (Cloud::new().await, Storage::moto().await) else {
        return;
    };
    cloud.put("dags/a.py", "1").await.unwrap();
    let queue = cloud.queue().await;
    cloud.role().await;
    let (first, second, third) = (
        cloud.session().await,
        cloud.session().await,
        cloud.session().await,
    );
    let (gate, address) = Gate::before(cloud.url.clone(), token(&first)).await;
    cloud.demands_rights(true).await;

    let mut delivering = Delivering::begin(delivery(&cloud, &queue, address, &own, &first));
    delivering.serves("1").await;
    assert_eq!(gate.refused(), 0);

    gate.only(token(&second));
    cloud.change("2").await;
    let reason = delivering.trouble().await;
    assert!(reason.contains("ExpiredToken"), "{reason}");
    delivering.serves("1").await;
    delivering.go_on_by(&second);
    delivering
        .event(|event| matches!(event, DagEvent::Source(state) if state.trouble.is_none()))
        .await;
    delivering.serves("2").await;

    // In time, as control does it: both are good for a while. It is the queue that tells of the change.
    gate.also(token(&third));
    delivering.go_on_by(&third);
    let before = gate.refused();
    cloud.change("3").await;
    cloud.demands_rights(false).await;
    cloud.tell(&queue, "dags/a.py").await;
    cloud.demands_rights(true).await;
    delivering.serves("3").await;
    assert_eq!(gate.refused(), before);
    let told: Vec<_> = delivering.published.values().collect();
    assert_eq!(told, [&1, &1, &1], "each version was told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_roles_policy_does_not_allow_is_told() {
    let (Some(cloud), Some(own)) = (Cloud::new().await, Storage::moto().await) else {
        return;
    };
    cloud.put("dags/a.py", "1").await.unwrap();
    let queue = cloud.queue().await;
    cloud.role().await;
    let session = cloud.session().await;
    let (_, address) = Gate::before(cloud.url.clone(), token(&session)).await;
    let name = ("RoleName", "airflow-dags");
    let taken = [("Action", "DeleteRolePolicy"), name, ("PolicyName", "read")];
    cloud.query("iam", &taken).await;
    cloud.demands_rights(true).await;
    let mut delivering = Delivering::begin(delivery(&cloud, &queue, address, &own, &session));
    let reason = delivering.trouble().await;
    assert!(reason.contains("403"), "{reason}");
}
