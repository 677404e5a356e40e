//! How a new node comes to be known: which refusals are final, which pass, and the sign that it was heard.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use updraft_agent::bootstrap::{Identity, identify};
use updraft_agent::{Error, Layout, Place, Result};
use updraft_api::agent::{Bootstrap, Registered};
use updraft_model::NodeId;

use crate::support::{Control, Pki, TestNode, eventually};

/// Statuses, each with what `Retry-After` says; then the node is taken.
type Refusals = Arc<Mutex<VecDeque<(u16, Option<&'static str>)>>>;

/// A node that introduces itself to a control which first answers so. With how many of the answers were not needed.
async fn introduce(refusals: &[(u16, Option<&'static str>)]) -> (Result<Identity>, usize) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let left: Refusals = Arc::new(Mutex::new(refusals.iter().copied().collect()));
    let router = Router::new()
        .route("/agent/v1/register", post(register))
        .with_state(left.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let place = tempfile::tempdir().unwrap();
    let layout = Layout::ensure(Place::open(place.path(), None).unwrap()).unwrap();
    let bootstrap = Bootstrap {
        control_url,
        node: NodeId(uuid::Uuid::new_v4()),
        token: "once".into(),
        node_dir: String::new(),
        address: String::new(),
        service_user: None,
        builder_user: None,
        shared_dir: String::new(),
        instance: None,
    };
    let identity = identify(&bootstrap, &layout).await;
    let left = left.lock().unwrap().len();
    (identity, left)
}

async fn register(State(refusals): State<Refusals>) -> Response {
    let refusal = refusals.lock().unwrap().pop_front();
    if let Some((status, retry_after)) = refusal {
        let mut answer = StatusCode::from_u16(status).unwrap().into_response();
        if let Some(pause) = retry_after {
            let headers = answer.headers_mut();
            headers.insert(header::RETRY_AFTER, pause.parse().unwrap());
        }
        return answer;
    }
    let pki = Pki::new();
    let (cert_pem, key_pem) = pki.issue("web.1.updraft.internal");
    let registered = Registered {
        node_token: "of the node".into(),
        ca_pem: pki.ca_pem,
        cert_pem,
        key_pem: key_pem.into(),
        renew_after_s: None,
    };
    Json(registered).into_response()
}

#[tokio::test]
async fn a_refusal_that_passes_is_waited_out() {
    let (identity, left) = introduce(&[(408, None), (429, None), (503, None), (429, Some("tomorrow"))]).await;
    assert!(identity.is_ok(), "{identity:?}");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn every_other_refusal_is_final() {
    for status in [400, 401, 403, 404, 410] {
        // Whoever asked again would be taken.
        let (identity, left) = introduce(&[(status, None), (500, None)]).await;
        assert!(
            matches!(&identity, Err(Error::ControlRefused { status: said, .. }) if *said == status),
            "{status}: {identity:?}"
        );
        assert_eq!(left, 1, "{status}");
    }
}

#[tokio::test]
async fn the_pause_that_control_asks_for_is_kept() {
    let began = Instant::now();
    let (identity, _) = introduce(&[(429, Some("1"))]).await;
    assert!(identity.is_ok(), "{identity:?}");
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "its own pause is shorter"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_an_end_is_exchanged_for_one_that_is_renewed_and_the_node_stays_who_it_is() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let _agent = node.spawn_agent();
    let kept = || {
        let text = std::fs::read(node.path("agent/identity.json")).unwrap_or_default();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap_or_default()
    };
    eventually("the renewed certificate on the disk", || {
        let renewed = control.renewals();
        renewed
            .last()
            .is_some_and(|given| kept()["cert_pem"] == given.as_str())
    })
    .await;
    let kept = kept();
    assert_eq!(kept["node_token"], format!("token-of-{}", node.node));
    assert!(kept["renew_at"].is_string(), "{kept}");
    assert_eq!(
        (control.registrations(), control.renewals().len()),
        (1, 1),
        "the next one is due in ten days"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_has_a_sign_once_control_took_a_report_and_not_before() {
    let control = Control::start().await;
    control.hear(false);
    let mut node = TestNode::new(&control);
    // Nobody is there.
    node.metadata = Some("http://127.0.0.1:9".to_owned());
    let _agent = node.spawn_agent();
    // What was to follow the first has been done when the second comes.
    eventually("two reports", || control.turned_away() > 1).await;
    assert_eq!(control.registrations(), 1);
    assert!(!node.path("agent/heard").exists());
    control.hear(true);
    eventually("the sign", || node.path("agent/heard").exists()).await;
}
