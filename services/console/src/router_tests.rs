//! The console over the real use cases and a database of each test's own.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{Request, Response, StatusCode};
use futures::StreamExt as _;
use tower::ServiceExt as _;
use updraft_api::rest::{NewCluster, NewPerson, SignIn};
use updraft_app::{App, AppConfig, Quota};
use updraft_authz::SigningKey;
use updraft_model::{ClusterId, TenantRole};
use updraft_runtimes::Catalogue;
use updraft_store::testing::TestDatabase;
use url::Url;

use crate::fixtures::assert_accessible;
use crate::{ConsoleConfig, router};

const HERE: &str = "http://localhost:7700";
const PASSWORD: &str = "correct horse battery";

/// A console with an owner, Ada, and a member, Bo.
struct House {
    app: App,
    router: Router,
    _database: TestDatabase,
}

struct Answered {
    status: StatusCode,
    location: Option<String>,
    cookies: Vec<String>,
    policy: String,
    html: String,
}

async fn house() -> House {
    let database = TestDatabase::create().await.unwrap();
    let key = SigningKey::from_seed("test", &[7; 32]).unwrap();
    let config = AppConfig::local(7700, 7701, key);
    let app = App::new(
        database.store().clone(),
        Arc::new(Catalogue::embedded().unwrap()),
        config,
    )
    .unwrap();
    let (quota, password) = (
        Quota {
            max_clusters: 5,
            max_nodes: 50,
        },
        PASSWORD.to_owned().into(),
    );
    assert!(
        app.install_tenant("Example", quota, "ada@example.com", "Ada", &password)
            .await
            .unwrap()
    );
    let house = House {
        router: router(
            app.clone(),
            ConsoleConfig {
                console_url: Url::parse(HERE).unwrap(),
            },
        ),
        app,
        _database: database,
    };
    let ada = house.actor("ada@example.com").await;
    let bo = NewPerson {
        email: "bo@example.com".into(),
        name: "Bo <b>".into(),
        tenant_role: TenantRole::Member,
        password: PASSWORD.into(),
    };
    house.app.add_person(&ada, bo).await.unwrap();
    house
}

impl House {
    async fn token(&self, email: &str) -> String {
        let sign_in = SignIn {
            email: email.into(),
            password: PASSWORD.into(),
        };
        self.app
            .sign_in(sign_in, [127, 0, 0, 1].into())
            .await
            .unwrap()
            .token
    }

    async fn actor(&self, email: &str) -> updraft_app::Actor {
        self.app.authenticate(&self.token(email).await).await.unwrap()
    }

    async fn cluster(&self, name: &str) -> ClusterId {
        let ada = self.actor("ada@example.com").await;
        let new: NewCluster = NewCluster {
            name: name.parse().unwrap(),
            runtime: None,
            workers: Some(1),
            worker_concurrency: None,
            dag_source: None,
            config: indexmap::IndexMap::new(),
            start: Some(false),
        };
        self.app.create_cluster(&ada, new).await.unwrap().cluster.id
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, token: Option<&str>, path: &str) -> Answered {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header(COOKIE, format!("updraft_session={token}"));
        }
        answered(self.send(request.body(Body::empty()).unwrap()).await).await
    }

    async fn post(&self, token: Option<&str>, path: &str, form: &str) -> Answered {
        self.post_from(Some(HERE), token, path, form).await
    }

    async fn post_from(&self, origin: Option<&str>, token: Option<&str>, path: &str, form: &str) -> Answered {
        let mut request = Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        if let Some(token) = token {
            request = request.header(COOKIE, format!("updraft_session={token}"));
        }
        answered(
            self.send(request.body(Body::from(form.to_owned())).unwrap())
                .await,
        )
        .await
    }
}

async fn answered(response: Response<Body>) -> Answered {
    let (parts, body) = response.into_parts();
    let text = |name| {
        parts
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned)
    };
    Answered {
        status: parts.status,
        location: text(LOCATION),
        cookies: parts
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .map(|v| v.to_str().unwrap().to_owned())
            .collect(),
        policy: text(axum::http::header::CONTENT_SECURITY_POLICY).unwrap_or_default(),
        html: String::from_utf8(axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap(),
    }
}

#[tokio::test]
async fn a_stranger_is_asked_to_sign_in_and_returned_to_the_page_asked_for() {
    let house = house().await;
    let asked = house.get(None, "/clusters/1/nodes?x=1").await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER);
    let to_sign_in = asked.location.unwrap();
    assert_eq!(to_sign_in, "/sign-in?return_to=%2Fclusters%2F1%2Fnodes%3Fx%3D1");
    let page = house.get(None, &to_sign_in).await;
    assert_accessible(&page.html);
    assert!(
        page.html.contains(r#"value="/clusters/1/nodes?x=1""#),
        "{}",
        page.html
    );

    let form = "email=ada%40example.com&password=correct+horse+battery&return_to=%2Fclusters%2F1%2Fnodes";
    let done = house.post(None, "/sign-in", form).await;
    assert_eq!(
        (done.status, done.location.as_deref()),
        (StatusCode::SEE_OTHER, Some("/clusters/1/nodes"))
    );
    let cookie = &done.cookies[0];
    assert!(
        cookie.starts_with("updraft_session=") && cookie.contains("HttpOnly"),
        "{cookie}"
    );
    assert!(
        cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
        "{cookie}"
    );
}

#[tokio::test]
async fn a_wrong_password_says_so_keeps_the_address_and_sets_no_cookie() {
    let house = house().await;
    let refused = house
        .post(
            None,
            "/sign-in",
            "email=ada%40example.com&password=wrong&return_to=",
        )
        .await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_accessible(&refused.html);
    assert!(refused.html.contains(r#"value="ada@example.com""#) && !refused.html.contains("wrong\""));
    assert!(refused.cookies.is_empty());
}

#[tokio::test]
async fn signing_in_never_leads_to_another_site() {
    let house = house().await;
    for evil in [
        "//evil.example",
        "https%3A%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "%2F%09%2Fevil.example",
    ] {
        let form = format!("email=ada%40example.com&password=correct+horse+battery&return_to={evil}");
        let done = house.post(None, "/sign-in", &form).await;
        assert_eq!(done.location.as_deref(), Some("/clusters"), "{evil}");
    }
}

#[tokio::test]
async fn no_form_of_another_site_is_obeyed() {
    let house = house().await;
    let (token, id) = (house.token("ada@example.com").await, house.cluster("demo").await);
    for path in [
        format!("/clusters/{id}/start"),
        "/sign-out".into(),
        "/people".into(),
        "/sign-in".into(),
        "/theme".into(),
    ] {
        for origin in [
            None,
            Some("null"),
            Some("http://localhost:7701"),
            Some("http://evil.example"),
        ] {
            let refused = house.post_from(origin, Some(&token), &path, "").await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} from {origin:?}");
            assert_accessible(&refused.html);
        }
    }
    assert_eq!(
        house.get(Some(&token), "/clusters").await.status,
        StatusCode::OK,
        "still signed in"
    );
}

#[tokio::test]
async fn a_cluster_is_created_started_stopped_and_deleted_by_forms() {
    let house = house().await;
    let token = Some(house.token("ada@example.com").await);
    let token = token.as_deref();
    let form = "name=demo&runtime=airflow-3.3.2&workers=1&worker_concurrency=2";
    let created = house.post(token, "/clusters", form).await;
    let home = created.location.unwrap();
    assert_eq!(home, "/clusters/1", "{}", created.html);
    for (verb, then) in [("start", "Stop"), ("restart", "Stop"), ("stop", "Start")] {
        assert_eq!(
            house.post(token, &format!("{home}/{verb}"), "").await.status,
            StatusCode::SEE_OTHER,
            "{verb}"
        );
        let page = house.get(token, &home).await;
        assert_accessible(&page.html);
        assert!(
            page.html.contains(&format!("</svg>{then}</button>")),
            "{verb}: {}",
            page.html
        );
    }
    let wrong = house.post(token, "/clusters/1/delete", "confirm=dem").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.html.contains("nothing was deleted"), "{}", wrong.html);
    let deleted = house.post(token, "/clusters/1/delete", "confirm=demo").await;
    assert_eq!(deleted.location.as_deref(), Some("/clusters"));
    assert!(
        house.get(token, "/clusters").await.html.contains("Watch"),
        "what was asked is under way"
    );
}

#[tokio::test]
async fn a_refused_cluster_keeps_what_was_typed() {
    let house = house().await;
    let token = house.token("ada@example.com").await;
    house.cluster("demo").await;
    for (name, why) in [
        ("Demo", "is not a cluster name"),
        ("demo", "already has a cluster named"),
    ] {
        let form = format!("name={name}&runtime=airflow-3.3.2&workers=3&worker_concurrency=2");
        let refused = house.post(Some(&token), "/clusters", &form).await;
        assert!(refused.status.is_client_error());
        assert_accessible(&refused.html);
        assert!(
            refused.html.contains(why) && refused.html.contains(r#"value="3""#),
            "{}",
            refused.html
        );
    }
}

#[tokio::test]
async fn every_page_is_accessible_small_and_strictly_policed() {
    let house = house().await;
    let (token, id) = (house.token("ada@example.com").await, house.cluster("demo").await);
    let tabs = [
        "",
        "/nodes",
        "/configuration",
        "/configuration?all=1",
        "/configuration?edit=core.parallelism",
        "/access",
        "/activity",
        "/delete",
    ];
    let tabs = tabs.map(|tab| format!("/clusters/{id}{tab}"));
    let rooms = [
        "/clusters",
        "/clusters?q=nothing",
        "/clusters/new",
        "/people",
        "/account",
        "/sign-out",
    ]
    .map(String::from);
    for path in rooms.iter().chain(&tabs) {
        let page = house.get(Some(&token), path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.html);
        assert_accessible(&page.html);
        assert!(
            page.policy.contains("default-src 'none'") && !page.policy.contains("unsafe"),
            "{}",
            page.policy
        );
        let nonce = page
            .policy
            .split("'nonce-")
            .nth(1)
            .and_then(|rest| rest.split('\'').next())
            .unwrap();
        assert!(page.html.contains(&format!("nonce=\"{nonce}\"")), "{path}");
        assert!(
            compressed(&page.html) < 25_000,
            "{path}: {} bytes; assets take the rest of 60 KB",
            compressed(&page.html)
        );
    }
}

fn compressed(html: &str) -> usize {
    let mut out = Vec::new();
    let params = brotli::enc::BrotliEncoderParams {
        quality: 4,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut html.as_bytes(), &mut out, &params).unwrap();
    out.len()
}

#[tokio::test]
async fn a_member_sees_nothing_of_what_was_not_shared_and_can_do_nothing_to_it() {
    let house = house().await;
    let (bo, id) = (house.token("bo@example.com").await, house.cluster("demo").await);
    let list = house.get(Some(&bo), "/clusters").await;
    assert!(
        list.html.contains("No cluster is shared with you yet"),
        "{}",
        list.html
    );
    for path in [
        format!("/clusters/{id}"),
        format!("/clusters/{id}/configuration"),
        "/clusters/new".into(),
    ] {
        let refused = house.get(Some(&bo), &path).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{path}");
        assert_accessible(&refused.html);
    }
    assert_eq!(
        house.get(Some(&bo), "/people").await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        house
            .post(Some(&bo), &format!("/clusters/{id}/start"), "")
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    let made = house
        .post(Some(&bo), "/clusters", "name=mine&workers=1&worker_concurrency=1")
        .await;
    assert_eq!(made.status, StatusCode::FORBIDDEN, "{}", made.html);
}

#[tokio::test]
async fn a_role_is_given_and_taken_back_on_the_access_tab() {
    let house = house().await;
    let (ada, bo, id) = (
        house.token("ada@example.com").await,
        house.token("bo@example.com").await,
        house.cluster("demo").await,
    );
    let user = house.app.authenticate(&bo).await.unwrap().user;
    let path = format!("/clusters/{id}/access");
    let given = house
        .post(Some(&ada), &path, &format!("user={user}&role=user"))
        .await;
    assert_eq!(given.location.as_deref(), Some(path.as_str()), "{}", given.html);
    assert!(
        house
            .get(Some(&ada), &path)
            .await
            .html
            .contains("Given on this cluster")
    );
    let seen = house.get(Some(&bo), &format!("/clusters/{id}")).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(
        !seen.html.contains(&format!(r#"action="/clusters/{id}/"#)),
        "a user is offered no change"
    );
    assert_eq!(
        house
            .post(Some(&bo), &format!("/clusters/{id}/start"), "")
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    house
        .post(Some(&ada), &format!("{path}/remove"), &format!("user={user}"))
        .await;
    assert_eq!(
        house.get(Some(&bo), &format!("/clusters/{id}")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn an_option_is_set_refused_by_name_protected_from_overwriting_and_reset() {
    let house = house().await;
    let (token, id) = (house.token("ada@example.com").await, house.cluster("demo").await);
    let path = format!("/clusters/{id}/configuration");
    let set = |generation: i64, key: &str, value: &str, verb: &str| {
        format!("generation={generation}&key={key}&value={value}&change={verb}")
    };
    let done = house
        .post(Some(&token), &path, &set(1, "core.parallelism", "64", "set"))
        .await;
    let yours = format!("{path}?show=yours");
    assert_eq!(done.location.as_deref(), Some(yours.as_str()), "{}", done.html);
    assert!(
        house
            .get(Some(&token), &yours)
            .await
            .html
            .contains("instead of <code>32</code>")
    );

    let stale = house
        .post(Some(&token), &path, &set(1, "core.parallelism", "65", "set"))
        .await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert!(
        stale.html.contains("Somebody was faster") && stale.html.contains(r#"value="65""#),
        "{}",
        stale.html
    );

    for key in ["core.executor", "core.no_such_option"] {
        let refused = house.post(Some(&token), &path, &set(2, key, "x", "set")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{key}");
        assert!(
            refused.html.contains(key) && refused.html.contains(r#"role="alert""#),
            "{}",
            refused.html
        );
    }
    house
        .post(Some(&token), &path, &set(2, "core.parallelism", "", "reset"))
        .await;
    assert!(
        !house
            .get(Some(&token), &path)
            .await
            .html
            .contains(">Yours</span>")
    );
    let resized = house
        .post(
            Some(&token),
            &format!("/clusters/{id}/size"),
            "generation=3&workers=2&worker_concurrency=8",
        )
        .await;
    assert_eq!(resized.status, StatusCode::SEE_OTHER, "{}", resized.html);
}

#[tokio::test]
async fn people_are_added_listed_as_text_and_removed() {
    let house = house().await;
    let ada = house.token("ada@example.com").await;
    let list = house.get(Some(&ada), "/people").await;
    assert!(
        list.html.contains("Bo &#60;b&#62;") && !list.html.contains("Bo <b>"),
        "{}",
        list.html
    );
    let form = "name=Chi&email=chi%40example.com&tenant_role=member&password=short";
    let refused = house.post(Some(&ada), "/people", form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.html.contains(r#"value="chi@example.com""#) && !refused.html.contains("short\""));
    let form = "name=Chi&email=chi%40example.com&tenant_role=member&password=correct+horse+battery";
    assert_eq!(
        house.post(Some(&ada), "/people", form).await.location.as_deref(),
        Some("/people")
    );

    let bo = house.token("bo@example.com").await;
    let user = house.app.authenticate(&bo).await.unwrap().user;
    assert_accessible(
        &house
            .get(Some(&ada), &format!("/people/{user}/remove"))
            .await
            .html,
    );
    house
        .post(Some(&ada), &format!("/people/{user}/remove"), "")
        .await;
    assert_eq!(
        house.get(Some(&bo), "/clusters").await.status,
        StatusCode::SEE_OTHER,
        "signed out at once"
    );
}

#[tokio::test]
async fn signing_out_ends_the_session_and_a_link_alone_does_not() {
    let house = house().await;
    let token = house.token("ada@example.com").await;
    let asked = house.get(Some(&token), "/sign-out").await;
    assert_accessible(&asked.html);
    assert_eq!(house.get(Some(&token), "/clusters").await.status, StatusCode::OK);
    let out = house.post(Some(&token), "/sign-out", "").await;
    assert!(out.cookies[0].contains("Max-Age=0"), "{:?}", out.cookies);
    assert_eq!(
        house.get(Some(&token), "/clusters").await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn the_password_is_changed_with_the_present_one_only() {
    let house = house().await;
    let token = house.token("ada@example.com").await;
    let wrong = house
        .post(
            Some(&token),
            "/account/password",
            "current=nope&new=another+good+password",
        )
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_accessible(&wrong.html);
    let form = "current=correct+horse+battery&new=another+good+password";
    let done = house.post(Some(&token), "/account/password", form).await;
    assert_eq!(
        done.location.as_deref(),
        Some("/account?changed=password"),
        "{}",
        done.html
    );
}

#[tokio::test]
async fn a_handover_goes_to_the_clusters_own_host_with_a_code_and_nowhere_else() {
    let house = house().await;
    let (token, id) = (house.token("ada@example.com").await, house.cluster("demo").await);
    let binding = "ab".repeat(32);
    let path = |host: &str, back: &str| format!("/handover?host={host}&binding={binding}&return_to={back}");
    let good = path("127.0.0.1:7701", &format!("%2Fairflow-webserver-{id}%2Fdags"));
    let sent = house.get(Some(&token), &good).await;
    let to = sent.location.unwrap();
    assert!(
        to.starts_with("http://127.0.0.1:7701/_updraft/handover?code="),
        "{to}"
    );
    for bad in [
        path("evil.example", &format!("%2Fairflow-webserver-{id}%2F")),
        path("127.0.0.1:7701", "%2F%2Fevil.example"),
        path("127.0.0.1:7701", "%2Fairflow-webserver-99%2F"),
    ] {
        let refused = house.get(Some(&token), &bad).await;
        assert_eq!(
            (refused.status, refused.location),
            (StatusCode::NOT_FOUND, None),
            "{bad}"
        );
    }
    let bo = house.token("bo@example.com").await;
    assert_eq!(
        house.get(Some(&bo), &good).await.status,
        StatusCode::NOT_FOUND,
        "Bo has no role on it"
    );

    let stranger = house.get(None, &good).await.location.unwrap();
    let back = stranger.strip_prefix("/sign-in?return_to=").unwrap();
    let form = format!("email=ada%40example.com&password=correct+horse+battery&return_to={back}");
    let moved_on = house.post(None, "/sign-in", &form).await;
    assert_eq!(
        moved_on.status,
        StatusCode::OK,
        "a redirect would be stopped by form-action"
    );
    assert!(
        moved_on
            .html
            .contains("http-equiv=\"refresh\" content=\"0;url=/handover?"),
        "{}",
        moved_on.html
    );
}

#[tokio::test]
async fn the_live_stream_tells_of_a_start_and_ends_with_the_session() {
    let house = house().await;
    let (token, id) = (house.token("ada@example.com").await, house.cluster("demo").await);
    let request = Request::get(format!("/live/clusters/{id}/overview"))
        .header(COOKIE, format!("updraft_session={token}"));
    let response = house.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let mut chunks = response.into_body().into_data_stream();
    let first = read_until(&mut chunks, "event: facts").await;
    assert!(
        first.contains("event: phase") && first.contains("Start"),
        "{first}"
    );
    house
        .post(Some(&token), &format!("/clusters/{id}/start"), "")
        .await;
    let next = read_until(&mut chunks, "event: timeline").await;
    assert!(next.contains("/stop"), "{next}");
    house.post(Some(&token), "/sign-out", "").await;
    while let Some(chunk) = chunks.next().await {
        assert!(chunk.is_ok());
    }
    assert_eq!(
        house.get(Some(&token), "/live/clusters").await.status,
        StatusCode::NO_CONTENT,
        "do not come back"
    );
}

async fn read_until(
    chunks: &mut (impl futures::Stream<Item = Result<Bytes, axum::Error>> + Unpin),
    word: &str,
) -> String {
    let mut seen = String::new();
    while !seen.contains(word) {
        let chunk = chunks.next().await.expect("the stream goes on").unwrap();
        seen.push_str(&String::from_utf8_lossy(&chunk));
    }
    seen
}

#[tokio::test]
async fn assets_are_immutable_and_unknown_pages_are_explained() {
    let house = house().await;
    let css = format!("/assets/{}/console.css", crate::assets::HASH);
    let request = Request::get(&css)
        .header("accept-encoding", "gzip, br")
        .body(Body::empty())
        .unwrap();
    let response = house.send(request).await;
    assert_eq!(response.headers()["content-encoding"], "br");
    assert!(
        response.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert!(
        response
            .body()
            .size_hint()
            .exact()
            .is_some_and(|size| size < 10_000)
    );
    for path in [
        "/nowhere",
        "/clusters/abc",
        "/clusters/99999",
        "/assets/0/console.css",
    ] {
        let token = house.token("ada@example.com").await;
        assert_eq!(
            house.get(Some(&token), path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}
