//! The audit log: who tried what, from where, and what came of it; generated from the OpenAPI, so that no operation can
//! be forgotten.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::{Value, json};
use updraft_model::{AuditActorKind, AuditOutcome, TenantId, TenantRole};
use updraft_store::audit_exports;
use updraft_store::audit_log::{self, Entry, Filter, Line};

use crate::authorization_matrix::{Caller, as_caller, operations, row, with_sign_in_setup};
use crate::support::{Answer, PASSWORD, Someone, World, request};

/// Operations with an unsafe method that change nothing, and why that is so.
const CHANGE_NOTHING: [(&str, &str); 2] = [
    (
        "call_dag_hook",
        "a git server says that there is something to look at; what comes of it is told by events",
    ),
    (
        "authorize_device",
        "a code is made up for whoever asks; who approves it, and who signs in with it, is recorded",
    ),
];

/// Operations that need more than one request to succeed, and the test that shows their lines.
const SHOWN_ELSEWHERE: [(&str, &str); 4] = [
    ("poll_device", "a_device_that_is_signed_in_is_recorded"),
    (
        "confirm_second_factor",
        "signing_in_takes_password_and_code_and_each_code_once",
    ),
    (
        "set_password",
        "a_link_sets_a_password_once_ends_all_sessions_and_is_audited",
    ),
    (
        "forgot_password",
        "a_mailed_link_sets_a_password_once_ends_all_sessions_and_is_audited",
    ),
];

async fn lines(world: &World, tenant: Option<TenantId>) -> Vec<Line> {
    let mut tx = world.tx().await;
    audit_log::list_before(&mut tx, tenant, &Filter::default(), None, 100_000)
        .await
        .unwrap()
}

async fn newest(world: &World, tenant: TenantId) -> Entry {
    lines(world, Some(tenant)).await.remove(0).entry
}

/// What was written about the request with this answer, whosever it is.
async fn about(world: &World, answer: &Answer) -> Vec<Entry> {
    let id = answer.headers["x-request-id"].to_str().unwrap();
    let mut tx = world.tx().await;
    let tenants = audit_exports::tenants(&mut tx).await.unwrap();
    let mut found = Vec::new();
    for tenant in tenants {
        let lines = lines(world, tenant).await.into_iter().map(|line| line.entry);
        found.extend(lines.filter(|entry| entry.request_id.as_deref() == Some(id)));
    }
    found
}

fn from(address: [u8; 4], mut request: Request<Body>) -> Request<Body> {
    let peer = SocketAddr::from((address, 4000));
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

async fn sign_in(world: &World, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    world.send(request("POST", "/sessions").json(&body)).await
}

async fn world() -> (World, TenantId, Someone) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    (world, tenant, owner)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_changes_something_leaves_a_line_done_and_refused() {
    let world = World::with_accounts().await;
    let (home, away) = (world.tenant("home").await, world.tenant("away").await);
    // Never the last owners.
    world.owner(home).await;
    world.owner(away).await;
    let document = serde_json::to_value(updraft_control::openapi_document()).unwrap();
    let changes = operations(&document)
        .into_iter()
        .filter(|(_, method, operation)| {
            let left_out = CHANGE_NOTHING.iter().chain(&SHOWN_ELSEWHERE);
            method != "GET" && !left_out.into_iter().any(|(name, _)| name == operation)
        });
    let mut wrong = Vec::new();
    for (path, method, operation) in changes {
        let ask = async |caller| {
            let row = row(&world, home, away).await;
            let row = with_sign_in_setup(&world, row, &path).await;
            let asked = as_caller(&world, &row, caller, &path, &method, &operation).await;
            world.send(asked).await
        };
        // Nobody may, or, where anybody may, a request that makes no sense.
        let mut refused = ask(Caller::Nobody).await;
        let mut answer = None;
        if refused.status.is_success() {
            let nonsense = request(&method, &path).json(&json!({"nonsense": true}));
            answer = Some(std::mem::replace(&mut refused, world.send(nonsense).await));
        }
        for caller in [Caller::Owner, Caller::Operator] {
            if answer.is_none() {
                answer = Some(ask(caller).await).filter(|answer| answer.status.is_success());
            }
        }
        let Some(answer) = answer else {
            wrong.push(format!("neither owner nor operator can do {operation}"));
            continue;
        };
        let done: Vec<_> = about(&world, &answer)
            .await
            .into_iter()
            .map(|entry| (entry.outcome, entry.action))
            .collect();
        let [(AuditOutcome::Done, action)] = &done[..] else {
            wrong.push(format!("{operation} done: {done:?}"));
            continue;
        };
        assert!(refused.status.is_client_error(), "{operation}: {}", refused.text);
        let refused = about(&world, &refused).await;
        let same = refused.len() == 1
            && refused[0].outcome == AuditOutcome::Refused
            && refused[0].action == *action
            && refused[0].reason.is_some();
        if !same {
            wrong.push(format!("{operation} is {action}, refused: {refused:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_line_says_who_did_what_from_where_and_what_changed() {
    let (world, tenant, owner) = world().await;
    let id = world.cluster(&owner, "demo").await;
    let asked = request("PATCH", &format!("/clusters/{id}"))
        .bearer(&owner)
        .header("if-match", "\"1\"")
        .header("user-agent", "curl/8")
        .json(&json!({"workers": 3, "config": {"core.parallelism": "8"}}));
    let answer = world.send(from([192, 0, 2, 7], asked)).await;
    answer.must_be(202);
    let line = newest(&world, tenant).await;
    assert_eq!(line.actor_kind, AuditActorKind::Person);
    assert_eq!(
        (line.actor_id, &line.actor_name),
        (Some(owner.user.0), &owner.email)
    );
    assert_eq!(line.credential, Some(format!("session:{}", owner.session)));
    assert_eq!(
        (line.action.as_str(), line.outcome),
        ("cluster.update", AuditOutcome::Done)
    );
    assert_eq!(
        (line.target, line.target_name),
        (Some(format!("cluster:{id}")), Some("demo".to_owned()))
    );
    assert_eq!(line.before, Some(json!({"workers": 1, "config": {}})));
    assert_eq!(
        line.after,
        Some(json!({"workers": 3, "config": {"core.parallelism": "8"}}))
    );
    assert_eq!(line.address, Some([192, 0, 2, 7].into()));
    assert_eq!(line.user_agent.as_deref(), Some("curl/8"));
    assert_eq!(
        line.request_id.as_deref(),
        Some(answer.headers["x-request-id"].to_str().unwrap())
    );
}

#[tokio::test]
async fn a_repeatable_request_is_recorded_once_with_its_origin() {
    let (world, tenant, owner) = world().await;
    let asked = || {
        request("POST", "/clusters")
            .bearer(&owner)
            .header("idempotency-key", "once")
            .json(&json!({"name": "demo"}))
    };
    world.send(from([192, 0, 2, 7], asked())).await.must_be(202);
    world.send(asked()).await.must_be(202);
    let lines = lines(&world, Some(tenant)).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0].entry.address, Some([192, 0, 2, 7].into()));
}

#[tokio::test]
async fn what_did_not_happen_is_not_recorded_as_done() {
    let (world, tenant, owner) = world().await;
    world.cluster(&owner, "demo").await;
    let again = world.post(&owner, "/clusters", json!({"name": "demo"})).await;
    assert_eq!(again.problem(409), "cluster-name-taken");
    let line = newest(&world, tenant).await;
    assert_eq!(
        (line.action.as_str(), line.outcome, line.reason.as_deref()),
        (
            "cluster.create",
            AuditOutcome::Refused,
            Some("cluster-name-taken")
        )
    );
    let done = lines(&world, Some(tenant)).await;
    assert_eq!(
        done.iter()
            .filter(|line| line.entry.outcome == AuditOutcome::Done)
            .count(),
        1
    );
}

#[tokio::test]
async fn a_refused_sign_in_is_shown_to_the_tenant_of_the_account_and_an_unknown_one_to_none() {
    let (world, tenant, owner) = world().await;
    sign_in(&world, &owner.email, "a wrong guess").await.must_be(401);
    let line = newest(&world, tenant).await;
    assert_eq!(
        (line.action.as_str(), line.outcome, line.reason.as_deref()),
        (
            "sign_in.password",
            AuditOutcome::Refused,
            Some("wrong-credentials")
        )
    );
    assert_eq!(
        (line.actor_kind, &line.actor_name),
        (AuditActorKind::Nobody, &owner.email)
    );
    assert_eq!(line.actor_id, None, "nothing was proven");

    sign_in(&world, "nobody\u{0}@example.com", "a wrong guess")
        .await
        .must_be(401);
    assert_eq!(lines(&world, Some(tenant)).await.len(), 1);
    assert_eq!(
        lines(&world, None).await[0].entry.actor_name,
        "nobody@example.com"
    );

    sign_in(&world, &owner.email, PASSWORD).await.must_be(201);
    let line = newest(&world, tenant).await;
    assert_eq!(
        (line.outcome, line.actor_kind),
        (AuditOutcome::Done, AuditActorKind::Person)
    );
}

#[tokio::test]
async fn a_credential_that_is_no_good_is_recorded_wherever_it_is_tried() {
    let (world, tenant, owner) = world().await;
    let member = world.someone(tenant, TenantRole::Member).await;
    let id = world.cluster(&owner, "demo").await;
    let forged = Someone {
        token: owner.token.replace("upd_s_", "upd_s_x"),
        ..owner.clone()
    };
    world.get(&forged, "/clusters").await.must_be(401);
    world.send(request("GET", "/clusters").empty()).await.must_be(401);
    let of_nobody = lines(&world, None).await;
    assert_eq!(
        of_nobody.len(),
        1,
        "a request without any credential says nothing: {of_nobody:?}"
    );
    assert_eq!(of_nobody[0].entry.action, "clusters.list");

    world.get(&member, "/people").await.must_be(403);
    let line = newest(&world, tenant).await;
    assert_eq!(
        (line.action.as_str(), line.actor_id),
        ("people.list", Some(member.user.0))
    );
    world.get(&member, &format!("/clusters/{id}")).await.must_be(404);
    let line = newest(&world, tenant).await;
    assert_eq!(line.reason.as_deref(), Some("cluster-not-found"));
    assert_eq!(line.target, Some(format!("path:/clusters/{id}")));
}

#[tokio::test]
async fn a_flood_of_refusals_does_not_fill_the_log() {
    let (world, tenant, owner) = world().await;
    let member = world.someone(tenant, TenantRole::Member).await;
    for _ in 0..200 {
        world
            .post(&member, "/clusters", json!({"name": "demo"}))
            .await
            .must_be(403);
        let forged = request("POST", "/clusters")
            .header("authorization", "Bearer x")
            .empty();
        world.send(forged).await.must_be(401);
    }
    assert_eq!(lines(&world, Some(tenant)).await.len(), 5);
    assert_eq!(lines(&world, None).await.len(), 5);
    world.cluster(&owner, "demo").await;
    assert_eq!(newest(&world, tenant).await.action, "cluster.create");
}

#[tokio::test]
async fn no_secret_gets_into_the_log() {
    const SECRET: &str = "planted-secret-1f7a";
    let (world, tenant, owner) = world().await;
    let member = world.someone(tenant, TenantRole::Member).await;
    let person =
        |email: &str| json!({"email": email, "name": "A", "tenant_role": "member", "password": SECRET});
    world
        .post(&owner, "/people", person("a@example.com"))
        .await
        .must_be(201);
    world
        .post(&owner, "/people", person("a@example.com"))
        .await
        .must_be(409);
    world
        .post(&member, "/people", person("b@example.com"))
        .await
        .must_be(403);
    let change = json!({"current": PASSWORD, "new": format!("{SECRET}2")});
    world
        .send(request("PUT", "/me/password").bearer(&member).json(&change))
        .await
        .must_be(204);
    sign_in(&world, "a@example.com", SECRET).await.must_be(201);
    sign_in(&world, "a@example.com", &format!("{SECRET}3"))
        .await
        .must_be(401);
    let config = json!({
        "sentry.sentry_dsn": SECRET,
        "aws_lambda_executor.queue_url": format!("https://user:{SECRET}@example.com/"),
    });
    let made = json!({"name": "demo", "config": config});
    let id = world.post(&owner, "/clusters", made).await.must_be(202)["cluster"]["id"].clone();
    let asked = request("PATCH", &format!("/clusters/{id}"))
        .bearer(&owner)
        .header("if-match", "\"1\"")
        .json(&json!({"config": {"sentry.sentry_dsn": format!("{SECRET}4")}}));
    world.send(asked).await.must_be(202);

    let mut all = lines(&world, Some(tenant)).await;
    all.extend(lines(&world, None).await);
    assert!(all.len() >= 8, "{all:?}");
    let text = format!("{all:?}");
    for secret in [SECRET, PASSWORD, owner.token.as_str()] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(
        text.contains("sentry.sentry_dsn"),
        "that it changed is seen: {text}"
    );
}

#[tokio::test]
async fn owners_read_filter_and_page_their_own_log_and_nobody_elses() {
    let (world, tenant, owner) = world().await;
    let stranger = world.owner(world.tenant("other").await).await;
    let member = world.someone(tenant, TenantRole::Member).await;
    let id = world.cluster(&owner, "demo").await;
    world.cluster(&stranger, "theirs").await;
    world
        .post(&owner, &format!("/clusters/{id}/stop"), json!({}))
        .await
        .must_be(202);
    world
        .post(&member, "/clusters", json!({"name": "x"}))
        .await
        .must_be(403);
    world.get(&member, "/audit").await.must_be(403);

    let listed = async |query: &str| {
        let page = world.get(&owner, &format!("/audit?{query}")).await.must_be(200);
        let items = page["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|line| {
                format!(
                    "{} {}",
                    line["action"].as_str().unwrap(),
                    line["outcome"].as_str().unwrap()
                )
            })
            .collect::<Vec<_>>()
    };
    let (created, stopped) = ("cluster.create done", "cluster.stop done");
    assert_eq!(listed("action=cluster.&outcome=done").await, [stopped, created]);
    assert_eq!(
        listed(&format!("actor={}", member.user)).await,
        ["audit.list refused", "cluster.create refused"]
    );
    assert_eq!(
        listed(&format!("actor={}&action=cluster", member.email)).await,
        ["cluster.create refused"]
    );
    assert_eq!(listed(&format!("target=cluster:{id}")).await, [stopped, created]);
    assert_eq!(listed("target=DEMO&limit=1").await, [stopped]);
    assert_eq!(listed("since=2200-01-01T00:00:00Z").await, [""; 0]);
    assert_eq!(listed("until=2200-01-01T00:00:00Z").await.len(), 4);
    for (query, field) in [
        ("since=yesterday", "since"),
        ("outcome=good", "outcome"),
        ("who=me", "who"),
    ] {
        let answer = world.get(&owner, &format!("/audit?{query}")).await;
        assert_eq!(answer.refused_field(422), field);
    }

    let first = world.get(&owner, "/audit?limit=3").await.must_be(200);
    let next = format!("/audit?limit=3&cursor={}", first["next"].as_str().unwrap());
    let second = world.get(&owner, &next).await.must_be(200);
    assert_eq!(
        (second["items"].as_array().unwrap().len(), &second["next"]),
        (1, &Value::Null)
    );
    let theirs = world.get(&stranger, "/audit").await.must_be(200).to_string();
    assert!(
        theirs.contains("theirs") && !theirs.contains("demo") && !theirs.contains(&owner.email),
        "{theirs}"
    );
}

#[tokio::test]
async fn the_export_is_the_whole_log_a_line_each_oldest_first() {
    let (world, tenant, owner) = world().await;
    let member = world.someone(tenant, TenantRole::Member).await;
    let id = world.cluster(&owner, "demo").await;
    for verb in ["stop", "start", "restart", "rotate-keys"] {
        world
            .post(&owner, &format!("/clusters/{id}/{verb}"), json!({}))
            .await
            .must_be(202);
    }
    let export = world
        .get(&owner, "/audit.ndjson?action=cluster.&outcome=done")
        .await;
    assert_eq!(export.headers["content-type"], "application/x-ndjson");
    let actions: Vec<_> = export
        .text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["action"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        actions,
        [
            "cluster.create",
            "cluster.stop",
            "cluster.start",
            "cluster.restart",
            "cluster.rotate_keys"
        ]
    );
    world.get(&member, "/audit.ndjson").await.must_be(403);
}

#[tokio::test]
async fn a_device_that_is_signed_in_is_recorded() {
    let (world, tenant, owner) = world().await;
    let address = [192, 0, 2, 1].into();
    let device = world.app.authorize_device("a laptop", address).await.unwrap();
    let poll = async || {
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code={}",
            device.device_code
        );
        let asked = request("POST", "/device/token").text("application/x-www-form-urlencoded", &form);
        world.send(asked).await
    };
    poll().await.must_be(400);
    assert!(lines(&world, None).await.is_empty(), "waiting is no refusal");
    let actor = world.app.authenticate(&owner.token).await.unwrap();
    world
        .app
        .decide_device(&actor, &device.user_code, true, address)
        .await
        .unwrap();
    assert_eq!(newest(&world, tenant).await.action, "device.approve");
    let answer = poll().await;
    answer.must_be(200);
    let line = newest(&world, tenant).await;
    assert_eq!(
        (line.action.as_str(), line.outcome),
        ("sign_in.device", AuditOutcome::Done)
    );
    assert_eq!(line.actor_id, Some(owner.user.0));
    assert!(
        line.credential != Some(format!("session:{}", owner.session)),
        "a session of its own"
    );
    let again = poll().await;
    again.must_be(400);
    let refused = about(&world, &again).await;
    assert_eq!(refused[0].reason.as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn a_hand_over_to_an_airflow_is_recorded_with_where_the_browser_is() {
    let (world, tenant, owner) = world().await;
    let id = world.cluster(&owner, "demo").await;
    let actor = world.app.authenticate(&owner.token).await.unwrap();
    let (secret, host) = ("what the cookie holds", "127.0.0.1:7701");
    let binding = hex::encode(updraft_sso::sha256(secret.as_bytes()));
    let back = format!("/airflow-webserver-{id}/");
    let url = world
        .app
        .begin_handover(&actor, host, &binding, &back)
        .await
        .unwrap();
    let url = url::Url::parse(&url).unwrap();
    let code = url
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    let edges = updraft_control::edges::router(updraft_control::edges::EdgesState {
        app: world.app.clone(),
        edge_token: "edge".to_owned().into(),
        snapshot: tokio::sync::watch::channel(None).1,
        tunnels: None,
    });
    let redeem = async || {
        let from = json!({"address": "192.0.2.9", "user_agent": "a browser", "request_id": "r1"});
        let body = json!({"code": code, "host": host, "binding": secret, "from": from});
        let asked = Request::post("/edge/v1/handover")
            .header("authorization", "Bearer edge")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        tower::ServiceExt::oneshot(edges.clone(), asked)
            .await
            .unwrap()
            .status()
    };
    assert_eq!(redeem().await, 200);
    let line = newest(&world, tenant).await;
    assert_eq!(
        (line.action.as_str(), line.outcome),
        ("sign_in.airflow", AuditOutcome::Done)
    );
    assert_eq!(
        (line.actor_id, line.target),
        (Some(owner.user.0), Some(format!("host:{host}")))
    );
    assert_eq!(
        (line.address, line.request_id.as_deref()),
        (Some([192, 0, 2, 9].into()), Some("r1"))
    );

    assert_eq!(redeem().await, 403, "a code is good once");
    let refused = lines(&world, None).await.remove(0).entry;
    assert_eq!(
        (refused.action.as_str(), refused.reason.as_deref()),
        ("sign_in.airflow", Some("handover-refused"))
    );
    assert_eq!(refused.address, Some([192, 0, 2, 9].into()));
}
