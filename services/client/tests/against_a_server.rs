//! The client against a real HTTP server that records what it was asked and answers as told.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up should stop at once"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use secrecy::SecretString;
use serde_json::json;
use updraft_api::rest::UpdateCluster;
use updraft_client::{Client, ClientError, EventFilter};
use updraft_model::{ClusterId, EventId, Generation};

#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

/// Status, content type, body.
type Answer = (StatusCode, &'static str, String);

#[derive(Clone, Default)]
struct StandIn {
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl StandIn {
    async fn start(answers: Vec<(u16, String)>) -> (Self, Client) {
        let this = Self::default();
        let typed = answers.into_iter().map(|(status, body)| {
            let kind = if body.starts_with(['{', '[']) {
                "application/json"
            } else {
                "text/event-stream"
            };
            (StatusCode::from_u16(status).unwrap(), kind, body)
        });
        this.answers.lock().unwrap().extend(typed);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(Self::answer).with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (
            this,
            Client::new(&address)
                .unwrap()
                .with_token(SecretString::from("very-secret")),
        )
    }

    async fn answer(State(this): State<Self>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
        this.asked.lock().unwrap().push(Asked { method, uri, headers });
        match this.answers.lock().unwrap().pop_front() {
            Some((status, kind, body)) => (status, [("content-type", kind)], body).into_response(),
            None => (StatusCode::GONE, problem(410, "over").1).into_response(),
        }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn header(&self, request: usize, name: &str) -> Option<String> {
        self.asked()[request]
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    }
}

fn problem(status: u16, what: &str) -> (u16, String) {
    let kind = format!("urn:updraft:problem:{what}");
    let body =
        json!({"type": kind, "title": what, "status": status, "detail": "do this", "field": "config.core.x"});
    (status, body.to_string())
}

fn person() -> (u16, String) {
    let id = "018f0000-0000-7000-8000-000000000000";
    let me = json!({"user": id, "email": "a@b.c", "name": "A", "tenant": id, "tenant_name": "T",
        "tenant_role": "owner", "credential": {"kind": "session", "id": id}, "operator": false, "tenants": 1});
    (200, me.to_string())
}

fn event(id: i64) -> String {
    let data = json!({"id": id, "at": "2026-11-21T21:00:00Z", "cluster": 1, "node": null, "node_label": null,
        "service": null, "kind": "phase_changed", "severity": "info", "message": "m"});
    format!("id: {id}\ndata: {data}\n\n")
}

#[tokio::test]
async fn a_refusal_keeps_status_type_detail_and_field() {
    let (_, client) = StandIn::start(vec![problem(422, "unknown-option")]).await;
    let error = client.me().await.unwrap_err();
    let problem = error.problem().expect("a problem");
    assert_eq!(problem.kind, "urn:updraft:problem:unknown-option");
    assert_eq!((problem.status, problem.detail.as_str()), (422, "do this"));
    assert_eq!(problem.field.as_deref(), Some("config.core.x"));
}

#[tokio::test]
async fn a_busy_server_is_asked_again_with_the_same_key() {
    let (server, client) = StandIn::start(vec![problem(503, "busy"), problem(409, "conflict")]).await;
    let error = client.start_cluster(ClusterId(7)).await.unwrap_err();
    assert_eq!(error.status(), Some(409));
    let keys = [
        server.header(0, "idempotency-key"),
        server.header(1, "idempotency-key"),
    ];
    assert!(keys[0].is_some() && keys[0] == keys[1], "{keys:?}");
    assert_eq!(server.asked()[0].uri.path(), "/api/v1/clusters/7/start");
}

#[tokio::test]
async fn a_password_is_tried_once() {
    let (server, client) = StandIn::start(vec![problem(503, "busy"), person()]).await;
    let error = client
        .sign_in("a@b.c", &SecretString::from("wrong"), None)
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(503));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn an_update_names_the_revision_it_was_made_from_and_is_not_repeated() {
    let (server, client) = StandIn::start(vec![problem(503, "busy")]).await;
    let change = UpdateCluster {
        workers: Some(2),
        ..UpdateCluster::default()
    };
    client
        .update_cluster(ClusterId(7), Generation(3), &change)
        .await
        .unwrap_err();
    assert_eq!(server.header(0, "if-match").as_deref(), Some("\"3\""));
    assert_eq!(
        (server.asked().len(), &server.asked()[0].method),
        (1, &Method::PATCH)
    );
}

#[tokio::test]
async fn lists_are_followed_to_their_end() {
    let page = |items: &[&str], next: Option<&str>| {
        let options: Vec<_> = items
            .iter()
            .map(|key| json!({"key": key, "default": null, "description": null, "managed": false}))
            .collect();
        (200, json!({"items": options, "next": next}).to_string())
    };
    let (server, client) =
        StandIn::start(vec![page(&["a.b", "a.c"], Some("x y")), page(&["d.e"], None)]).await;
    let options = client.config_options("airflow-3.3.2").await.unwrap();
    let keys: Vec<_> = options.iter().map(|option| option.key.as_str()).collect();
    assert_eq!(keys, ["a.b", "a.c", "d.e"]);
    assert_eq!(server.asked()[1].uri.query(), Some("cursor=x+y"));
}

#[tokio::test]
async fn events_go_on_after_a_broken_stream_where_they_stopped() {
    let first = format!("{}{}", event(41), event(42));
    let (server, client) = StandIn::start(vec![(200, first), problem(503, "busy"), (200, event(43))]).await;
    let filter = EventFilter {
        cluster: Some(ClusterId(1)),
        after: Some(EventId(40)),
    };
    let ids: Vec<_> = client
        .events(filter)
        .map(|event| event.ok().map(|event| event.id.0))
        .collect()
        .await;
    assert_eq!(
        ids,
        [Some(41), Some(42), Some(43), None],
        "the stand-in then says 410, which ends the stream"
    );
    let resumed: Vec<_> = (0..4)
        .map(|n| server.header(n, "last-event-id").unwrap())
        .collect();
    assert_eq!(resumed, ["40", "42", "42", "43"]);
}

#[tokio::test]
async fn another_program_on_the_port_is_told_apart() {
    let (_, client) = StandIn::start(vec![(404, "<h1>nginx</h1>".to_owned())]).await;
    assert!(matches!(
        client.me().await.unwrap_err(),
        ClientError::NotUpdraft { status: 404, .. }
    ));
}

#[tokio::test]
async fn the_token_is_sent_but_never_shown() {
    let (server, client) = StandIn::start(vec![person()]).await;
    client.me().await.unwrap();
    assert_eq!(
        server.header(0, "authorization").as_deref(),
        Some("Bearer very-secret")
    );
    assert!(!format!("{client:?}").contains("very-secret"));
}

#[tokio::test]
async fn nothing_listening_says_so() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client = Client::new(&format!("http://{free}")).unwrap();
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
    assert!(error.is_transient());
}
