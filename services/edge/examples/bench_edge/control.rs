//! The stand-in for control: one cluster, one person who owns it, and nothing that changes.

use std::convert::Infallible;
use std::time::Duration;

use chrono::Utc;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use updraft_api::edge::{Route, RouteState, Snapshot, Upstream};
use updraft_authz::{ClusterPolicy, Policy, SessionClaims, SigningKey};
use updraft_model::{ClusterId, SessionId, TenantId, TenantRole, UserId};
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const PERSON: UserId = UserId(Uuid::from_u128(2));

pub(crate) fn snapshot(host: &str, upstream: Upstream, session_key: &SigningKey) -> Snapshot {
    Snapshot {
        version: 1,
        routes: vec![Route {
            cluster: ClusterId(1),
            tenant: TENANT,
            name: "bench".parse().unwrap(),
            host: host.into(),
            runtime: "bench".into(),
            state: RouteState::Up { upstream },
            tunnel: None,
            tells_uses: false,
        }],
        policy: Policy {
            clusters: [(
                ClusterId(1),
                ClusterPolicy {
                    tenant: TENANT,
                    grants: [].into(),
                },
            )]
            .into(),
            members: [(TENANT, [(PERSON, TenantRole::Owner)].into())].into(),
            ..Policy::default()
        },
        airflow_key: SigningKey::from_seed("airflow", &[2; 32]).unwrap(),
        session_keys: vec![session_key.public().clone()],
        console_url: "http://localhost:7700".into(),
        tunnel_authority: None,
        tunnel_tokens: Vec::new(),
    }
}

pub(crate) fn claims(host: &str) -> SessionClaims {
    let now = Utc::now().timestamp();
    SessionClaims {
        iss: updraft_authz::SESSION_ISSUER.into(),
        aud: updraft_authz::SESSION_AUDIENCE.into(),
        sid: SessionId(Uuid::from_u128(3)),
        sub: PERSON,
        tenant: TENANT,
        email: "person@example.com".into(),
        name: "A Person".into(),
        host: host.into(),
        iat: now,
        exp: now + 86400,
    }
}

/// The snapshot once, then silence; a certificate for whoever asks.
pub(crate) async fn serve(listener: TcpListener, snapshot: Bytes, certificate: Bytes) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (snapshot, certificate) = (snapshot.clone(), certificate.clone());
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let (snapshot, certificate) = (snapshot.clone(), certificate.clone());
                async move {
                    let first = request
                        .uri()
                        .query()
                        .is_some_and(|query| query.starts_with("after=0&"));
                    let answer = match request.uri().path() {
                        "/edge/v1/tunnel-certificate" => certificate,
                        _ if first => snapshot,
                        _ => {
                            tokio::time::sleep(Duration::from_secs(25)).await;
                            snapshot
                        }
                    };
                    Ok::<_, Infallible>(Response::new(Full::new(answer)))
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
