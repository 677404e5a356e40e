use std::time::Duration;

use http::StatusCode;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use updraft_model::{ClusterId, ClusterRole, TenantRole, UserId};
use uuid::Uuid;

use crate::harness::{ACME, ALICE, Answer, Call, Code, World};

/// Whom no snapshot knows yet.
const NEWCOMER: UserId = UserId(Uuid::from_u128(0x0e));

/// What the browser was told to ask the console for.
fn asked(answer: &Answer) -> std::collections::HashMap<String, String> {
    let url: url::Url = answer.location().parse().unwrap();
    assert_eq!(url.path(), "/handover");
    url.query_pairs().into_owned().collect()
}

/// As the console does for a signed-in person.
fn issue(world: &World, name: &str, host: &str, binding_hash: &str) {
    issue_to(ALICE, world, name, host, binding_hash);
}

fn issue_to(person: UserId, world: &World, name: &str, host: &str, binding_hash: &str) {
    let claims = world.claims(person, 1);
    world.control.add_code(
        name,
        Code {
            host: host.into(),
            binding_hash: binding_hash.into(),
            session_token: world.mint(&claims),
            expires_at: claims.exp,
        },
    );
}

fn come_back(world: &World, code: &str, binding: &str, return_to: &str) -> Call {
    let return_to: String = url::form_urlencoded::byte_serialize(return_to.as_bytes()).collect();
    Call::get(
        &world.host(1),
        &format!("/_updraft/handover?code={code}&return_to={return_to}"),
    )
    .with("cookie", &format!("updraft_binding={binding}"))
}

#[tokio::test]
async fn a_stranger_signs_in_and_returns_to_the_page_asked_for() {
    let world = World::start().await;
    let page = "/airflow-webserver-1/dags/a?tab=graph&x=%2F";
    let first = Call::get(&world.host(1), page).send().await;
    assert_eq!(first.status, StatusCode::SEE_OTHER);
    let binding = first.cookie("updraft_binding").unwrap();
    let asked = asked(&first);
    assert_eq!(asked["host"], world.host(1));
    assert_eq!(asked["return_to"], page);
    assert_eq!(asked["binding"], hex::encode(Sha256::digest(&binding)));
    let set = first.header("set-cookie").unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");

    issue(&world, "code-1", &asked["host"], &asked["binding"]);
    let back = come_back(&world, "code-1", &binding, page).send().await;
    assert_eq!((back.status, back.location()), (StatusCode::SEE_OTHER, page));
    assert_eq!(back.cookie("updraft_binding").as_deref(), Some(""));
    let session = back.cookie("updraft_edge").unwrap();

    let answer = Call::get(&world.host(1), page).signed_in(&session).send().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["target"], page);
}

#[tokio::test]
async fn who_was_just_given_a_cluster_waits_until_the_edge_has_heard_of_it() {
    let world = World::start().await;
    let (binding, page) = ("a".repeat(64), "/airflow-webserver-1/dags?x");
    issue_to(
        NEWCOMER,
        &world,
        "new",
        &world.host(1),
        &hex::encode(Sha256::digest(&binding)),
    );
    let call = come_back(&world, "new", &binding, page);
    let mut back = tokio::spawn(async move { call.send().await });
    let early = timeout(Duration::from_millis(300), &mut back).await;
    assert!(early.is_err(), "sent on to where nobody is let in yet");

    world
        .publish(|snapshot| {
            let people = snapshot.policy.members.get_mut(&ACME).unwrap();
            people.insert(NEWCOMER, TenantRole::Member);
            let cluster = snapshot.policy.clusters.get_mut(&ClusterId(1)).unwrap();
            cluster.grants.insert(NEWCOMER, ClusterRole::User);
        })
        .await;
    let back = back.await.unwrap();
    assert_eq!((back.status, back.location()), (StatusCode::SEE_OTHER, page));
    let session = back.cookie("updraft_edge").unwrap();
    let answer = Call::get(&world.host(1), page).signed_in(&session).send().await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn who_has_lost_a_cluster_meanwhile_does_not_wait_for_ever() {
    let world = World::start().await;
    let (binding, page) = ("a".repeat(64), "/airflow-webserver-1/");
    issue_to(
        NEWCOMER,
        &world,
        "lost",
        &world.host(1),
        &hex::encode(Sha256::digest(&binding)),
    );
    let back = come_back(&world, "lost", &binding, page);
    let back = timeout(Duration::from_secs(30), back.send()).await.unwrap();
    let session = back.cookie("updraft_edge").unwrap();
    let answer = Call::get(&world.host(1), page).signed_in(&session).send().await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(asked(&answer)["return_to"], page);
}

#[tokio::test]
async fn a_code_works_once_in_one_browser_on_one_host() {
    let world = World::start().await;
    let (mine, theirs) = ("a".repeat(64), "b".repeat(64));
    let hash = |binding: &str| hex::encode(Sha256::digest(binding));
    let page = "/airflow-webserver-1/";

    issue(&world, "once", &world.host(1), &hash(&mine));
    assert_eq!(
        come_back(&world, "once", &mine, page).send().await.status,
        StatusCode::SEE_OTHER
    );
    issue(&world, "other-browser", &world.host(1), &hash(&mine));
    issue(&world, "other-host", &world.host(2), &hash(&mine));
    for (code, binding) in [
        ("once", &*mine),
        ("other-browser", &theirs),
        ("other-host", &mine),
        ("unknown", &mine),
        ("", &mine),
        ("x", ""),
        ("x", "short"),
    ] {
        let answer = come_back(&world, code, binding, page).send().await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{code}");
        assert_eq!(answer.cookie("updraft_edge"), None, "{code}");
        assert!(
            answer.text().contains(r#"href="/airflow-webserver-1/""#),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_session_for_another_host_is_not_accepted_even_from_control() {
    let world = World::start().await;
    let binding = "a".repeat(64);
    let claims = world.claims(ALICE, 2);
    let code = Code {
        host: world.host(1),
        binding_hash: hex::encode(Sha256::digest(&binding)),
        session_token: world.mint(&claims),
        expires_at: claims.exp,
    };
    world.control.add_code("wrong", code);
    let answer = come_back(&world, "wrong", &binding, "/airflow-webserver-1/")
        .send()
        .await;
    assert_eq!(
        (answer.status, answer.cookie("updraft_edge")),
        (StatusCode::BAD_REQUEST, None)
    );
}

#[tokio::test]
async fn nobody_is_sent_elsewhere() {
    let world = World::start().await;
    let session = world.session(ALICE, 1);
    for target in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/_updraft/logout",
        "/airflow-webserver-1/../x",
        "",
    ] {
        let answer = come_back(&world, "x", &"a".repeat(64), target).send().await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{target}");
        let next: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        let answer = Call::get(&world.host(1), &format!("/_updraft/login?next={next}"))
            .signed_in(&session)
            .send()
            .await;
        assert_eq!(answer.location(), "http://localhost:7700", "{target}");
    }
}

#[tokio::test]
async fn tabs_that_sign_in_together_share_one_binding() {
    let world = World::start().await;
    let first = world.get(1, "/a").send().await;
    let binding = first.cookie("updraft_binding").unwrap();
    let second = world
        .get(1, "/b")
        .with("cookie", &format!("updraft_binding={binding}"))
        .send()
        .await;
    assert_eq!(asked(&first)["binding"], asked(&second)["binding"]);
    // The slower tab finds the session of the faster one.
    let late = Call::get(
        &world.host(1),
        "/_updraft/handover?code=used&return_to=/airflow-webserver-1/b",
    )
    .signed_in(&world.session(ALICE, 1))
    .send()
    .await;
    assert_eq!(late.location(), "/airflow-webserver-1/b");
}

#[tokio::test]
async fn airflows_own_login_leads_to_sign_in_and_never_in_circles() {
    let world = World::start().await;
    let login = Call::get(
        &world.host(1),
        &format!(
            "/_updraft/login?next=http%3A%2F%2F{}%2Fairflow-webserver-1%2Fdags",
            world.host(1).replace(':', "%3A")
        ),
    );
    assert_eq!(
        asked(&login.clone().send().await)["return_to"],
        "/airflow-webserver-1/dags"
    );

    let session = world.session(ALICE, 1);
    let once = login.clone().signed_in(&session).send().await;
    assert_eq!(once.location(), "/airflow-webserver-1/dags");
    let again = login.with(
        "cookie",
        &format!(
            "updraft_edge={session}; updraft_retry={}",
            once.cookie("updraft_retry").unwrap()
        ),
    );
    let answer = again.send().await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.text().contains("did not accept your session"));
}

#[tokio::test]
async fn programs_without_a_session_get_401_not_a_redirect() {
    let world = World::start().await;
    for call in [
        world.get(1, "/api/v2/dags").with("accept", "application/json"),
        world.get(1, "/api/v2/dags").with("accept", "*/*"),
        world.get(1, "/").with("sec-fetch-dest", "iframe"),
        world.get(1, "/").method("POST"),
    ] {
        assert_eq!(call.send().await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn airflows_sign_out_ends_the_session_here_and_leads_to_the_console() {
    let world = World::start().await;
    let logout = Call::get(&world.host(1), "/_updraft/logout").signed_in(&world.session(ALICE, 1));
    let button = logout.clone().with("sec-fetch-site", "same-origin").send().await;
    assert_eq!(button.location(), "http://localhost:7700/sign-out");
    assert_eq!(button.cookie("updraft_edge").as_deref(), Some(""));

    // A link from elsewhere is asked about first.
    let link = logout.clone().with("sec-fetch-site", "cross-site").send().await;
    assert_eq!(link.status, StatusCode::OK);
    assert_eq!(link.cookie("updraft_edge"), None);
    assert!(link.text().contains("<form method=\"post\">"));

    let form = |origin: &str| logout.clone().method("POST").with("origin", origin);
    assert_eq!(
        form("http://evil.example").send().await.cookie("updraft_edge"),
        None
    );
    let confirmed = form(&format!("http://{}", world.host(1))).send().await;
    assert_eq!(confirmed.cookie("updraft_edge").as_deref(), Some(""));
}
