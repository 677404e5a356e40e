use updraft_api::edge::Snapshot;
use updraft_authz::{ClusterPolicy, Policy, SessionClaims, SigningKey};
use updraft_model::{SessionId, TenantId, TenantRole, UserId};
use uuid::Uuid;

use super::*;

const HOST: &str = "127.0.0.1:7701";
const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const PERSON: UserId = UserId(Uuid::from_u128(2));

fn table(state: RouteState, grant: Option<ClusterRole>) -> Table {
    Table::new(
        Snapshot {
            version: 1,
            routes: vec![Route {
                cluster: ClusterId(1),
                tenant: TENANT,
                name: "demo".parse().unwrap(),
                host: HOST.into(),
                runtime: "airflow-3.3.2".into(),
                state,
                tunnel: None,
                tells_uses: false,
            }],
            policy: Policy {
                clusters: [(
                    ClusterId(1),
                    ClusterPolicy {
                        tenant: TENANT,
                        grants: grant.map(|r| (PERSON, r)).into_iter().collect(),
                    },
                )]
                .into(),
                members: [(TENANT, [(PERSON, TenantRole::Member)].into())].into(),
                ..Policy::default()
            },
            airflow_key: SigningKey::from_seed("a", &[0; 32]).unwrap(),
            session_keys: vec![],
            tunnel_authority: None,
            tunnel_tokens: Vec::new(),
            console_url: "http://localhost:7700".into(),
        },
        1,
    )
}

fn upstream() -> Upstream {
    Upstream::Direct(([127, 64, 0, 1], 8080).into())
}

fn up() -> RouteState {
    RouteState::Up { upstream: upstream() }
}

fn claims() -> SessionClaims {
    SessionClaims {
        iss: String::new(),
        aud: String::new(),
        sid: SessionId(Uuid::from_u128(3)),
        sub: PERSON,
        tenant: TENANT,
        email: String::new(),
        name: String::new(),
        host: HOST.into(),
        iat: 0,
        exp: i64::MAX,
    }
}

/// What becomes of a request of the person, described in one word.
fn outcome(
    table: &Table,
    method: &Method,
    headers: &[(&'static str, &str)],
    credential: Credential,
) -> &'static str {
    let headers: HeaderMap = headers
        .iter()
        .map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap()))
        .collect();
    let request = Request {
        host: HOST,
        cluster: ClusterId(1),
        method,
        headers: &headers,
        scheme: Scheme::Http,
    };
    match decide(
        request,
        Some(Caller {
            visitor: &claims().into(),
            credential,
        }),
        table,
    ) {
        Decision::Forward {
            role: ClusterRole::User,
            ..
        } => "user",
        Decision::Forward {
            role: ClusterRole::Admin,
            ..
        } => "admin",
        Decision::NotRunning { .. } => "not running",
        Decision::SignIn => "sign in",
        Decision::Unauthenticated => "401",
        Decision::Forbidden(_) => "403",
        Decision::NotFound => "404",
    }
}

#[test]
fn the_role_comes_from_the_policy_alone() {
    let get = |grant| outcome(&table(up(), grant), &Method::GET, &[], Credential::Cookie);
    assert_eq!(get(Some(ClusterRole::User)), "user");
    assert_eq!(get(Some(ClusterRole::Admin)), "admin");
    assert_eq!(get(None), "404");
}

#[test]
fn only_those_with_a_role_learn_that_a_cluster_is_not_running() {
    for state in [
        RouteState::Stopped,
        RouteState::Stopping,
        RouteState::Starting { waiting_for: None },
    ] {
        let get = |grant| {
            outcome(
                &table(state.clone(), grant),
                &Method::GET,
                &[],
                Credential::Cookie,
            )
        };
        assert_eq!(get(Some(ClusterRole::User)), "not running");
        assert_eq!(get(None), "404");
    }
}

#[test]
fn a_cookie_alone_changes_nothing() {
    let table = table(up(), Some(ClusterRole::User));
    let own = ("origin", "http://127.0.0.1:7701");
    for method in [
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::from_bytes(b"PROPFIND").unwrap(),
    ] {
        assert_eq!(outcome(&table, &method, &[], Credential::Cookie), "403");
        assert_eq!(
            outcome(
                &table,
                &method,
                &[("origin", "http://127.0.0.1:7702")],
                Credential::Cookie
            ),
            "403"
        );
        assert_eq!(
            outcome(
                &table,
                &method,
                &[("origin", "https://127.0.0.1:7701")],
                Credential::Cookie
            ),
            "403"
        );
        assert_eq!(outcome(&table, &method, &[own], Credential::Cookie), "user");
        assert_eq!(outcome(&table, &method, &[], Credential::Bearer), "user");
    }
    let upgrade = ("upgrade", "websocket");
    assert_eq!(
        outcome(&table, &Method::GET, &[upgrade], Credential::Cookie),
        "403"
    );
    assert_eq!(
        outcome(&table, &Method::GET, &[upgrade, own], Credential::Cookie),
        "user"
    );
}

#[test]
fn forgery_is_looked_for_before_the_role() {
    // So the answer tells nothing about the cluster.
    assert_eq!(
        outcome(&table(up(), None), &Method::POST, &[], Credential::Cookie),
        "403"
    );
}

#[test]
fn people_are_sent_to_sign_in_and_programs_are_told() {
    let table = table(up(), None);
    let nobody = |method: Method, headers: HeaderMap, host: &str| {
        let request = Request {
            host,
            cluster: ClusterId(1),
            method: &method,
            headers: &headers,
            scheme: Scheme::Http,
        };
        decide(request, None, &table) == Decision::SignIn
    };
    let html = || HeaderMap::from_iter([(header::ACCEPT, "text/html,*/*".parse().unwrap())]);
    assert!(nobody(Method::GET, html(), HOST));
    assert!(!nobody(Method::POST, html(), HOST));
    assert!(!nobody(Method::GET, HeaderMap::new(), HOST));
    assert!(!nobody(Method::GET, html(), "unknown:7701"));
    let mut upgrade = html();
    upgrade.insert(header::UPGRADE, "websocket".parse().unwrap());
    assert!(!nobody(Method::GET, upgrade, HOST));
}
