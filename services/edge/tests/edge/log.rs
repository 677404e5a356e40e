use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::StatusCode;

use crate::harness::{ALICE, Call, World};

/// What the whole process logs from now on.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_request_leaves_a_line_and_no_secret() {
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .with_env_filter("updraft_edge=trace")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let world = World::start().await;
    let session = world.session(ALICE, 1);
    let answer = world
        .get(1, "/teapot?password=hunter2")
        .signed_in(&session)
        .send()
        .await;
    let code = "/_updraft/handover?code=secret-code&return_to=/airflow-webserver-1/";
    let binding = "b1".repeat(32);
    Call::get(&world.host(1), code)
        .with("cookie", &format!("updraft_binding={binding}"))
        .send()
        .await;
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1)).into();
    world
        .publish_state(1, updraft_api::edge::RouteState::Up { upstream: nowhere })
        .await;
    assert_eq!(
        world.get(1, "/").signed_in(&session).send().await.status,
        StatusCode::BAD_GATEWAY
    );

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let id = answer.header("x-request-id").unwrap();
    let line = log.lines().find(|line| line.contains(id)).unwrap();
    for part in ["cluster.id=1", "status=418", "duration_ms=", "method=\"GET\""] {
        assert!(line.contains(part), "{line}");
    }
    let airflow_token = "Bearer";
    for secret in [
        &*session,
        "hunter2",
        "secret-code",
        &binding,
        "edge-token-for-tests",
        airflow_token,
        "PRIVATE KEY",
    ] {
        assert!(!log.contains(secret), "{secret} was logged");
    }
}
