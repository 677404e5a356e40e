//! Two tenants that have everything alike, and no route, stream or error of one that shows a trace of the other.
//!
//! Every route of the OpenAPI document is asked, filled by the authorization matrix, so that a new one cannot be
//! forgotten. A trace is an id of the other's, or the word that stands in everything of theirs that has a name.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use updraft_model::{ClusterId, TenantId, TenantRole, TokenLimit};
use updraft_store::{event_log, operations as stored_operations};
use uuid::Uuid;

use crate::authorization_matrix::{Caller, as_caller, operations, row, with_sign_in_setup};
use crate::aws_accounts;
use crate::support::{HOST, Someone, World, request};

/// Stands in names, addresses, events and failures of the second tenant, and nowhere in the first.
const MARK: &str = "zebrafish";
/// Numbers of clusters that are found in a text without being mistaken for others.
const FIRST_CLUSTER: i64 = 7_000_001;

struct Two {
    world: World,
    ours: Someone,
    theirs: Someone,
}

/// What is asked: method, address below `/api/v1` or `/scim/v2`, body.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    uri: String,
    body: String,
    content_type: Option<String>,
}

impl Two {
    async fn new() -> Self {
        let world = World::with_accounts().await;
        let mut tx = world.tx().await;
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "alter sequence clusters_id_seq restart with {FIRST_CLUSTER}"
        )))
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let (home, away) = (world.tenant("acme").await, world.tenant(MARK).await);
        let (ours, theirs) = (world.owner(home).await, world.owner(away).await);
        for (owner, mark) in [(&ours, "goldfish"), (&theirs, MARK)] {
            furnish(&world, owner, mark).await;
        }
        Self { world, ours, theirs }
    }

    async fn answer(&self, who: &Someone, asked: &Asked) -> (StatusCode, String) {
        let mut request = Request::builder()
            .method(asked.method.as_str())
            .uri(&asked.uri)
            .header(header::HOST, HOST)
            .header(header::AUTHORIZATION, format!("Bearer {}", who.token))
            .header("if-match", "\"1\"");
        if let Some(content_type) = &asked.content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request.body(Body::from(asked.body.clone())).unwrap();
        let response = self.world.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        if response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind == "text/event-stream")
        {
            return (status, String::new());
        }
        let bytes = to_bytes(response.into_body(), 16 << 20).await.unwrap();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The same in both tenants, and a marked thing beside each.
async fn furnish(world: &World, owner: &Someone, mark: &str) {
    let tenant = owner.tenant;
    for name in ["demo", mark] {
        aws_accounts::configured(world, owner, name).await;
        let tags = json!({"env": name});
        let variables = json!({"NAME": name});
        let new = json!({"name": name, "tags": tags, "environment_variables": variables});
        let made = world.post(owner, "/clusters", new).await.must_be(202);
        let path = format!("/clusters/{}/secrets", made["cluster"]["id"]);
        let secrets = json!({"set": {name: name}});
        let asked = request("PATCH", &path).bearer(owner).json(&secrets);
        world.send(asked).await.must_be(202);
        let group = json!({"who": {"group": name}, "role": "user", "target": "every_cluster"});
        world.post(owner, "/access-rules", group).await.must_be(201);
        world
            .post(owner, "/service-accounts", json!({"name": name}))
            .await
            .must_be(201);
        let config =
            json!({"kind": "oidc", "issuer": format!("https://127.0.0.1/{name}"), "client_id": name});
        world
            .post(
                owner,
                "/identity-providers",
                json!({"name": name, "config": config}),
            )
            .await
            .must_be(201);
        world
            .post(owner, "/domains", json!({"domain": format!("{name}.example")}))
            .await
            .must_be(201);
        world
            .post(owner, "/tokens", json!({"name": name, "role": "user"}))
            .await
            .must_be(201);
    }
    let person = json!({"email": format!("ada@{mark}.example"), "name": mark, "tenant_role": "member", "password": "correct horse"});
    world.post(owner, "/people", person).await.must_be(201);
    let directory = world.api_token(owner, TokenLimit::Scim).await;
    for name in ["same@example.com", mark] {
        scim(world, &directory, "/Users", json!({"userName": name})).await;
        scim(world, &directory, "/Groups", json!({"displayName": name})).await;
    }
    let mut tx = world.tx().await;
    event_log::append(&mut tx, tenant, None, "grant_put", &format!("{mark} happened"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn scim(world: &World, directory: &Someone, path: &str, body: Value) {
    let request = Request::post(format!("/scim/v2{path}"))
        .header(header::HOST, HOST)
        .header(header::CONTENT_TYPE, "application/scim+json")
        .header(header::AUTHORIZATION, format!("Bearer {}", directory.token))
        .body(Body::from(body.to_string()))
        .unwrap();
    world.send(request).await.must_be(201);
}

/// The request that the matrix makes for an owner of `tenant`, about what is theirs.
async fn own(world: &World, tenant: TenantId, other: TenantId, route: &(String, String, String)) -> Asked {
    let (path, method, operation) = route;
    let row = with_sign_in_setup(world, row(world, tenant, other).await, path).await;
    let request = as_caller(world, &row, Caller::Owner, path, method, operation).await;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    Asked {
        method: method.clone(),
        uri: parts.uri.to_string(),
        // An archive is none any more, which nobody gets to see who may not push.
        body: String::from_utf8_lossy(&body).into_owned(),
        content_type: parts
            .headers
            .get(header::CONTENT_TYPE)
            .map(|value| value.to_str().unwrap().to_owned()),
    }
}

/// UUIDs and numbers of clusters.
fn ids_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let number =
        |word: &str| word.len() == 7 && word.parse::<i64>().is_ok_and(|number| number >= FIRST_CLUSTER);
    words
        .filter(|word| number(word) || (word.len() == 36 && Uuid::parse_str(word).is_ok()))
        .map(str::to_owned)
        .collect()
}

/// The same request with things that never were, in place of all that are not `ours`.
fn about_nothing(asked: &Asked, ours: &Asked) -> Asked {
    let mut other = asked.clone();
    let own = ids_in(&ours.uri);
    let sent = ids_in(&format!("{} {}", asked.uri, asked.body));
    for id in sent.difference(&own) {
        let never = if id.len() == 36 {
            Uuid::now_v7().to_string()
        } else {
            "9999999".to_owned()
        };
        other.uri = other.uri.replace(id, &never);
        other.body = other.body.replace(id, &never);
    }
    other
}

/// Without what differs by nature: the request's own id, and the ids that were asked for.
fn told(answer: &(StatusCode, String), asked: &Asked) -> (u16, String) {
    let mut text = match serde_json::from_str::<Value>(&answer.1) {
        Ok(Value::Object(mut problem)) => {
            problem.remove("request_id");
            Value::Object(problem).to_string()
        }
        _ => answer.1.clone(),
    };
    for id in ids_in(&format!("{} {}", asked.uri, asked.body)) {
        text = text.replace(&id, "ID");
    }
    (answer.0.as_u16(), text)
}

fn routes() -> Vec<(String, String, String)> {
    let document = serde_json::to_value(updraft_control::openapi_document()).unwrap();
    let routes = operations(&document);
    assert!(routes.len() > 60, "{}", routes.len());
    routes
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_tenant_reads_shows_a_trace_of_another() {
    let two = Two::new().await;
    let (home, away) = (two.ours.tenant, two.theirs.tenant);
    let reads: Vec<_> = routes().into_iter().filter(|route| route.1 == "GET").collect();
    let mut seen: [Vec<(String, String)>; 2] = [Vec::new(), Vec::new()];
    for route in &reads {
        for (side, who, tenant, other) in [(0, &two.ours, home, away), (1, &two.theirs, away, home)] {
            let asked = own(&two.world, tenant, other, route).await;
            let answer = two.answer(who, &asked).await;
            assert!(!answer.0.is_server_error(), "{asked:?}: {}", answer.1);
            seen[side].push((route.2.clone(), answer.1));
        }
    }
    let both = two.world.api_token(&two.ours, TokenLimit::Scim).await;
    for path in [
        "/Users",
        "/Groups",
        "/ServiceProviderConfig",
        "/Schemas",
        "/ResourceTypes",
    ] {
        let asked = Asked {
            method: "GET".into(),
            uri: format!("/scim/v2{path}"),
            body: String::new(),
            content_type: None,
        };
        let answer = two.answer(&both, &asked).await;
        assert_eq!(answer.0, StatusCode::OK, "{path}: {}", answer.1);
        seen[0].push((path.to_owned(), answer.1));
    }
    let ids: Vec<BTreeSet<String>> = seen
        .iter()
        .map(|side| side.iter().flat_map(|(_, text)| ids_in(text)).collect())
        .collect();
    assert!(
        ids.iter().all(|ids| ids.len() > 40),
        "too little to be looked for: {ids:?}"
    );
    // The document names no tenant, and both read the same one.
    let shared: Vec<_> = ids[0].intersection(&ids[1]).collect();
    assert!(shared.is_empty(), "both tenants read these ids: {shared:?}");
    for (route, text) in &seen[0] {
        assert!(!text.contains(MARK), "{route} shows the other tenant: {text}");
    }
    let marked = seen[1].iter().filter(|(_, text)| text.contains(MARK)).count();
    assert!(
        marked > 8,
        "the mark is read by its own tenant on {marked} routes only"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_tenants_is_answered_like_what_never_was() {
    let two = Two::new().await;
    let (home, away) = (two.ours.tenant, two.theirs.tenant);
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for route in routes() {
        let theirs = own(&two.world, away, home, &route).await;
        let ours = own(&two.world, home, away, &route).await;
        for asked in [theirs.clone(), mixed(&ours, &theirs)] {
            if ids_in(&format!("{} {}", asked.uri, asked.body)).is_empty() {
                continue;
            }
            let nothing = about_nothing(&asked, &ours);
            let (answer, never) = (
                two.answer(&two.ours, &asked).await,
                two.answer(&two.ours, &nothing).await,
            );
            compared += 1;
            if told(&answer, &asked) != told(&never, &nothing)
                || answer.1.contains(MARK)
                || answer.0.is_server_error()
            {
                wrong.push(format!("{asked:?}\n  {answer:?}\n  {never:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {compared}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared > 60, "{compared}");
    println!("{compared} requests compared");
}

/// Our own cluster, and their person on it: the first id of an address is ours, the others theirs.
fn mixed(ours: &Asked, theirs: &Asked) -> Asked {
    let mut first = true;
    let parts = ours.uri.split('/').zip(theirs.uri.split('/'));
    let segments = parts.map(|(our, their)| match our == their {
        false if std::mem::take(&mut first) => our,
        _ => their,
    });
    let uri = segments.collect::<Vec<_>>().join("/");
    // Nothing of theirs is left in an address with one id.
    if ids_in(&uri).is_subset(&ids_in(&ours.uri)) {
        return theirs.clone();
    }
    Asked {
        uri,
        ..theirs.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_tells_of_ones_own_tenant_alone() {
    let two = Two::new().await;
    let open = |who: &Someone| request("GET", "/events").bearer(who).empty();
    let response = two.world.router.clone().oneshot(open(&two.ours)).await.unwrap();
    let mut stream = response.into_body().into_data_stream();
    let (mut read, end) = (String::new(), "the end of our own events");
    let happen = async |tenant: TenantId, message: &str| {
        let mut tx = two.world.tx().await;
        event_log::append(&mut tx, tenant, None, "grant_put", message)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    for n in 0..5 {
        happen(two.theirs.tenant, &format!("{MARK} {n}")).await;
        happen(two.ours.tenant, &format!("ours {n}")).await;
    }
    happen(two.ours.tenant, end).await;
    while !read.contains(end) {
        let chunk = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
        let chunk = chunk
            .expect("the stream stays silent")
            .expect("the stream ended")
            .unwrap();
        read.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(read.contains("ours 4") && !read.contains(MARK), "{read}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_of_both_tenants_sees_the_one_their_session_is_for() {
    let two = Two::new().await;
    let both = two.world.someone(two.ours.tenant, TenantRole::Owner).await;
    two.world
        .member(two.theirs.tenant, &both, TenantRole::Owner)
        .await;
    for path in [
        "/clusters",
        "/people",
        "/access-rules",
        "/identity-providers",
        "/domains",
        "/service-accounts",
        "/audit",
    ] {
        let text = two.world.get(&both, path).await.text;
        assert!(
            text.contains("goldfish") && !text.contains(MARK),
            "{path}: {text}"
        );
    }
    let their_cluster = ClusterId(FIRST_CLUSTER + 2);
    let seen = two
        .world
        .get(&two.theirs, &format!("/clusters/{their_cluster}"))
        .await;
    seen.must_be(200);
    let mut tx = two.world.tx().await;
    let running = stored_operations::find_running(&mut tx, two.ours.tenant, their_cluster)
        .await
        .unwrap();
    assert!(running.is_none(), "not even by its id in the store");
    let refused = two.world.get(&both, &format!("/clusters/{their_cluster}")).await;
    assert_eq!(refused.problem(404), "cluster-not-found");
}
