//! Two tenants that have everything alike, and no page, stream or refusal of one that shows a trace of the other.
//!
//! The addresses are read out of the router's own source, so that a new page cannot be forgotten.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use futures::StreamExt as _;
use updraft_api::rest::NewPerson;
use updraft_app::Quota;
use updraft_model::{ClusterId, TenantRole};
use updraft_store::event_log;

use super::{House, PASSWORD, house};

/// Stands in names and addresses of the second tenant, and nowhere in the first.
const MARK: &str = "zebrafish";
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";
const NO_CLUSTER: &str = "999999";

/// An owner with a cluster, a person and a service account, by what addresses are filled with.
struct Side {
    token: String,
    cluster: ClusterId,
    operation: String,
    person: String,
}

/// Every address of the router with its methods: `get`, `post`, or both.
fn addresses() -> Vec<(String, Vec<&'static str>)> {
    let source: String = include_str!("../router.rs").split_whitespace().collect();
    let routes: Vec<_> = source
        .split(".route(\"")
        .skip(1)
        .map(|rest| {
            let (path, rest) = rest.split_once("\",").unwrap();
            let handlers = rest.split(".route(").next().unwrap();
            let methods = ["get(", "post("]
                .into_iter()
                .filter(|method| handlers.contains(method));
            (path.to_owned(), methods.collect())
        })
        .collect();
    assert!(routes.len() > 50, "{}", routes.len());
    routes
}

async fn two() -> (House, Side, Side) {
    let house = house().await;
    let quota = Quota {
        max_clusters: 5,
        max_nodes: 50,
    };
    let (email, password) = (format!("eve@{MARK}.example"), PASSWORD.to_owned().into());
    assert!(
        house
            .app
            .install_tenant(MARK, quota, &email, MARK, &password)
            .await
            .unwrap()
    );
    let ours = side(&house, "ada@example.com", "goldfish").await;
    let theirs = side(&house, &email, MARK).await;
    (house, ours, theirs)
}

async fn side(house: &House, email: &str, mark: &str) -> Side {
    let token = house.token(email).await;
    let actor = house.app.authenticate(&token).await.unwrap();
    let person = NewPerson {
        email: format!("chi@{mark}.example"),
        name: mark.to_owned(),
        tenant_role: TenantRole::Member,
        password: Some(PASSWORD.into()),
    };
    let person = house
        .app
        .add_person(&actor, person)
        .await
        .unwrap()
        .person
        .user
        .to_string();
    let form = |name: &str| format!("name={name}&workers=1&worker_concurrency=1");
    for name in ["same", mark] {
        house.post(Some(&token), "/clusters", &form(name)).await;
        house
            .post(Some(&token), "/service-accounts", &format!("name={name}"))
            .await;
        house
            .post(
                Some(&token),
                "/access-rules",
                &format!("who=group&whom={name}&role=user&target=every_cluster"),
            )
            .await;
        house
            .post(
                Some(&token),
                "/sso/domains",
                &format!("domain={name}.example&provider="),
            )
            .await;
    }
    let list = house.get(Some(&token), "/clusters").await.html;
    let id = |text: &str| {
        text.split(|c: char| !c.is_ascii_digit())
            .next()
            .and_then(|id| id.parse().ok())
    };
    let cluster: i64 = list
        .split("href=\"/clusters/")
        .skip(1)
        .find_map(id)
        .expect("a cluster is listed");
    let activity = house
        .get(Some(&token), &format!("/clusters/{cluster}/activity"))
        .await
        .html;
    let operation = activity
        .split("/operations/")
        .nth(1)
        .and_then(|rest| rest.get(..36));
    let mut tx = house.store().begin().await.unwrap();
    event_log::append(
        &mut tx,
        actor.tenant,
        None,
        "grant_put",
        &format!("{mark} happened"),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    Side {
        token,
        cluster: ClusterId(cluster),
        operation: operation.unwrap_or(NOBODY).to_owned(),
        person,
    }
}

fn filled(path: &str, cluster: &str, operation: &str, person: &str) -> String {
    let about_cluster = path.starts_with("/clusters") || path.starts_with("/live");
    path.replace("{id}", if about_cluster { cluster } else { person })
        .replace("{operation}", operation)
        .replace("{node}", "worker-1")
        .replace("{service}", "worker")
        .replace("{verb}", "restart")
        .replace("{tab}", "overview")
        .replace("{tenant}", person)
        .replace("{user}", person)
        .replace("{rule}", person)
        .replace("{session}", person)
        .replace("{token}", person)
        .replace("{provider}", person)
        .replace("{domain}", "same.example")
        .replace("{hash}", "0")
        .replace("{name}", "console.css")
}

#[tokio::test]
async fn no_page_of_a_tenant_shows_a_trace_of_another() {
    let (house, ours, theirs) = two().await;
    let mut marked = 0;
    for (path, methods) in addresses() {
        // Streams have no end to be read to; the next test is theirs.
        if !methods.contains(&"get(") || path.starts_with("/live") || path.starts_with("/assets") {
            continue;
        }
        let of = |side: &Side| filled(&path, &side.cluster.to_string(), &side.operation, &side.person);
        let page = house.get(Some(&ours.token), &of(&ours)).await;
        assert!(
            !page.html.contains(MARK) && !page.html.contains(&theirs.person),
            "{path}: {}",
            page.html
        );
        assert!(!page.status.is_server_error(), "{path}");
        let page = house.get(Some(&theirs.token), &of(&theirs)).await;
        assert!(
            !page.html.contains("goldfish") && !page.html.contains(&ours.person),
            "{path}: {}",
            page.html
        );
        marked += usize::from(page.html.contains(MARK));
    }
    assert!(
        marked > 10,
        "the mark is on {marked} of its own tenant's pages only"
    );
}

#[tokio::test]
async fn a_page_about_another_tenants_things_is_the_page_about_nothing() {
    let (house, ours, theirs) = two().await;
    let mut compared = 0;
    for (path, methods) in addresses() {
        if !path.contains('{') || path.starts_with("/assets") {
            continue;
        }
        let (their_path, no_path) = (
            path.replace("{domain}", &format!("{MARK}.example")),
            path.replace("{domain}", "nowhere.example"),
        );
        let real = filled(
            &their_path,
            &theirs.cluster.to_string(),
            &theirs.operation,
            &theirs.person,
        );
        let none = filled(&no_path, NO_CLUSTER, NOBODY, NOBODY);
        // An operation of theirs on a cluster of ours.
        let mixed = filled(
            &path,
            &ours.cluster.to_string(),
            &theirs.operation,
            &theirs.person,
        );
        for method in methods {
            let also = path.contains("{operation}").then_some(&mixed);
            for asked in std::iter::once(&real).chain(also) {
                let (answer, nothing) = (
                    ask(&house, &ours, method, asked).await,
                    ask(&house, &ours, method, &none).await,
                );
                assert_eq!(answer.0, nothing.0, "{method} {asked}");
                let told = plain(&answer.1, asked, &theirs.cluster.to_string());
                if *asked == real {
                    assert_eq!(told, plain(&nothing.1, &none, NO_CLUSTER), "{method} {asked}");
                }
                assert!(!told.contains(MARK), "{method} {asked}: {told}");
                compared += 1;
            }
        }
    }
    assert!(compared > 30, "{compared}");
}

async fn ask(house: &House, who: &Side, method: &str, path: &str) -> (StatusCode, String) {
    let answer = match method {
        "get(" => house.get(Some(&who.token), path).await,
        _ => house.post(Some(&who.token), path, "").await,
    };
    (answer.status, answer.html)
}

/// Without what differs by nature: the answer's nonce, the request's own id, and what was asked for.
fn plain(html: &str, path: &str, cluster: &str) -> String {
    let nonce = html
        .split("nonce=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let html = nonce.map_or_else(|| html.to_owned(), |nonce| html.replace(nonce, "NONCE"));
    let html = html
        .replace(path, "PATH")
        .replace(&format!("/clusters/{cluster}\""), "/clusters/ID\"");
    let words = html.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let without_id = |word: &str| {
        let id = word.get(..36).filter(|id| uuid::Uuid::parse_str(id).is_ok());
        id.map_or_else(|| word.to_owned(), |id| word.replace(id, "ID"))
    };
    words.map(without_id).collect()
}

#[tokio::test]
async fn a_live_page_tells_of_ones_own_tenant_alone() {
    let (house, ours, theirs) = two().await;
    let stream = async |path: String| {
        let request = Request::get(path).header(header::COOKIE, format!("updraft_session={}", ours.token));
        house.send(request.body(Body::empty()).unwrap()).await
    };
    let refused = stream(format!("/live/clusters/{}/overview", theirs.cluster)).await;
    let never = stream(format!("/live/clusters/{NO_CLUSTER}/overview")).await;
    assert_eq!(
        (refused.status(), never.status()),
        (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND)
    );
    let mut live = stream("/live/clusters".to_owned())
        .await
        .into_body()
        .into_data_stream();
    let their_cluster = theirs.cluster;
    house
        .post(
            Some(&theirs.token),
            &format!("/clusters/{their_cluster}/start"),
            "",
        )
        .await;
    house
        .post(Some(&ours.token), &format!("/clusters/{}/stop", ours.cluster), "")
        .await;
    let mut read = String::new();
    while !read.contains("goldfish") {
        let chunk = tokio::time::timeout(std::time::Duration::from_secs(20), live.next()).await;
        let chunk = chunk
            .expect("the stream stays silent")
            .expect("the stream ended")
            .unwrap();
        read.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(!read.contains(MARK), "{read}");
}
