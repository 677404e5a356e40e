//! An instance that will be taken back, as its metadata service says.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, put};
use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::support::{Control, TestNode, service};
use updraft_model::{AgentPhase, ServiceName};

/// A metadata service that answers to its newest session alone.
#[derive(Clone)]
struct Metadata(Arc<watch::Sender<Said>>);

#[derive(Default)]
struct Said {
    sessions: u32,
    /// How often it said that the machine stays.
    stays: u32,
    notice: Option<DateTime<Utc>>,
}

// === impl Metadata ===

impl Metadata {
    async fn start() -> (Self, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let metadata = Self(Arc::new(watch::Sender::default()));
        let router = Router::new()
            .route("/latest/api/token", put(Self::session))
            .route("/latest/meta-data/spot/instance-action", get(Self::action))
            .with_state(metadata.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (metadata, url)
    }

    async fn session(State(Self(said)): State<Self>, headers: HeaderMap) -> (StatusCode, String) {
        if !headers.contains_key("X-aws-ec2-metadata-token-ttl-seconds") {
            return (StatusCode::BAD_REQUEST, String::new());
        }
        said.send_modify(|said| said.sessions += 1);
        (StatusCode::OK, format!("session-{}", said.borrow().sessions))
    }

    async fn action(State(Self(said)): State<Self>, headers: HeaderMap) -> (StatusCode, String) {
        let session = format!("session-{}", said.borrow().sessions);
        if headers.get("X-aws-ec2-metadata-token").map(|own| own.as_bytes()) != Some(session.as_bytes()) {
            return (StatusCode::UNAUTHORIZED, String::new());
        }
        let notice = said.borrow().notice;
        let Some(at) = notice else {
            said.send_modify(|said| said.stays += 1);
            return (StatusCode::NOT_FOUND, "not found".to_owned());
        };
        let at = at.format("%Y-%m-%dT%H:%M:%SZ");
        (
            StatusCode::OK,
            format!(r#"{{"action": "terminate", "time": "{at}"}}"#),
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_will_be_taken_back_says_so_once_it_is_told() {
    let (metadata, url) = Metadata::start().await;
    let control = Control::start().await;
    let mut node = TestNode::new(&control);
    node.metadata = Some(url);
    let _agent = node.spawn_agent();
    control.assign(node.assignment(vec![service(ServiceName::ApiServer, "sleep 600")]));
    let mut said = metadata.0.subscribe();
    said.wait_for(|said| said.stays > 0).await.unwrap();
    let before = control.phase(AgentPhase::Running).await;
    assert_eq!(before.reclaimed_at, None);

    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    metadata.0.send_modify(|said| {
        // The session that it asked in is over, too.
        (said.notice, said.sessions) = (Some(at), said.sessions + 1);
    });
    let told = |report: &updraft_api::agent::Report| report.reclaimed_at.is_some();
    let report = control.report_where("a notice", told).await;
    assert_eq!(report.reclaimed_at, Some(at));
    assert_eq!(
        report.phase,
        AgentPhase::Running,
        "what to do is control's to say"
    );
}
