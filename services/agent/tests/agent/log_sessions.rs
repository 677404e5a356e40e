//! Logs on their way by a role's session: it ends, another one comes, and nothing is lost or sent twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use updraft_api::agent::LogDelivery;
use updraft_model::AgentPhase;

use crate::support::eventually;
use crate::support::shipping::{Shipping, append};
use crate::support::storage::{Content, Storage};

const EXPIRED: &str =
    "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";

/// Before a store: lets in whoever has the session of the moment, as AWS does.
#[derive(Clone)]
struct Gate {
    store: String,
    http: reqwest::Client,
    good: Arc<Mutex<String>>,
    refused: Arc<Mutex<usize>>,
}

// === impl Gate ===

impl Gate {
    async fn before(store: String, session: &str) -> (Self, SocketAddr) {
        let gate = Self {
            store,
            http: reqwest::Client::new(),
            good: Arc::new(Mutex::new(session.to_owned())),
            refused: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(pass).with_state(gate.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (gate, address)
    }

    /// The session before has ended.
    fn only(&self, session: &str) {
        session.clone_into(&mut self.good.lock().unwrap());
    }

    fn refused(&self) -> usize {
        *self.refused.lock().unwrap()
    }
}

async fn pass(State(gate): State<Gate>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let shown = parts.headers.get("x-amz-security-token");
    if shown.is_none_or(|shown| shown.as_bytes() != gate.good.lock().unwrap().as_bytes()) {
        *gate.refused.lock().unwrap() += 1;
        return (StatusCode::BAD_REQUEST, EXPIRED).into_response();
    }
    let url = format!("{}{}", gate.store, parts.uri);
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let asked = gate.http.request(parts.method, url).headers(parts.headers);
    let answer = asked.body(body).send().await.unwrap();
    let mut passed = Response::builder().status(answer.status());
    passed.headers_mut().unwrap().clone_from(answer.headers());
    passed.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}

fn by(session: &str, gate: SocketAddr, shipping: &Shipping) -> LogDelivery {
    LogDelivery {
        endpoint: format!("http://{gate}"),
        session_token: Some(session.into()),
        foreign: true,
        outbound_allow: vec![gate.to_string()],
        ..shipping.road.delivery()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_loses_nothing_and_the_next_one_goes_on_where_it_stood() {
    let Some(shipping) = Shipping::to(Storage::moto().await).await else {
        return;
    };
    let (gate, address) = Gate::before(shipping.storage.endpoint(), "first").await;
    shipping
        .control
        .change(|assignment| assignment.logs = Some(by("first", address, &shipping)));
    let logs = shipping.logs();
    let mut written: BTreeMap<_, Content> = BTreeMap::new();
    let mut say = |words: &str| {
        for name in ["scheduler.log", "tasks/dag_id=d/run_id=r/task_id=t/attempt=1.log"] {
            append(&logs, name, words.as_bytes());
            written.entry(name.to_owned()).or_default().add(words.as_bytes());
        }
        written.clone()
    };
    let agent = shipping.node.spawn_agent();
    shipping.control.phase(AgentPhase::Running).await;
    shipping.holds(&say("by the first\n")).await;
    assert_eq!(gate.refused(), 0);

    gate.only("second");
    say("when it had ended\n");
    eventually("it is refused", || gate.refused() > 0).await;
    shipping
        .control
        .change(|assignment| assignment.logs = Some(by("second", address, &shipping)));
    shipping.holds(&say("by the second\n")).await;

    // In time, as control does it: both are good for a while, and nothing is refused.
    let before = gate.refused();
    shipping.control.change(|_| {});
    shipping.holds(&say("and on\n")).await;
    assert_eq!(gate.refused(), before);
    drop(agent);
}
