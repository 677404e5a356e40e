use serde_json::Value;
use updraft_authz::TrustedProxy;

use crate::harness::{ALICE, BOB, World};
use base64::Engine as _;

/// The claims inside the token that reached the upstream.
pub(crate) fn claims(seen: &Value) -> Value {
    let token = seen["headers"]["authorization"]
        .as_str()
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap();
    let body = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(token.split('.').nth(1).unwrap())
        .unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn airflow_learns_who_asks_from_the_edge_alone() {
    let world = World::start().await;
    for (person, role) in [(ALICE, "admin"), (BOB, "user")] {
        let seen = world
            .get(1, "/")
            .signed_in(&world.session(person, 1))
            .send()
            .await
            .json();
        let claims = claims(&seen);
        assert_eq!(claims["role"], role);
        assert_eq!(claims["aud"], "cluster:1");
        assert_eq!(claims["iss"], "updraft-edge");
        assert_eq!(claims["sub"], person.to_string());
        assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 60);
    }
}

#[tokio::test]
async fn no_identity_from_the_client_reaches_airflow() {
    let world = World::start().await;
    let session = world.session(BOB, 1);
    let forged = [
        ("authorization", "Bearer forged"),
        ("forwarded", "for=6.6.6.6"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-user", "admin"),
        ("x-auth-request-user", "admin"),
        ("x-remote-user", "admin"),
        ("remote-user", "admin"),
        ("x-real-ip", "6.6.6.6"),
        ("x-original-url", "/execution/"),
        ("x-rewrite-url", "/execution/"),
        ("x-http-method-override", "DELETE"),
        ("x-updraft-role", "admin"),
        ("x-amzn-oidc-data", "admin"),
        ("proxy-authorization", "Basic x"),
        ("x-request-id", "mine"),
    ];
    let call = forged
        .iter()
        .fold(world.get(1, "/").signed_in(&session), |call, (n, v)| {
            call.with(n, v)
        });
    let call = call
        .with("connection", "x-hop, te")
        .with("x-hop", "1")
        .with("te", "trailers")
        .with("x-fine", "passes");
    let seen = call.send().await.json();
    let headers = seen["headers"].as_object().unwrap();
    for (name, value) in forged {
        assert_ne!(headers.get(name).and_then(Value::as_str), Some(value), "{name}");
    }
    assert_eq!(claims(&seen)["role"], "user");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], world.host(1));
    assert_eq!(headers["host"], world.host(1));
    assert_eq!(headers["x-fine"], "passes");
    for gone in ["x-hop", "te", "connection"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
}

/// What Airflow hears of the client, of a request with these lines of `X-Forwarded-For`.
async fn client_seen(world: &World, lines: &[&str]) -> Value {
    let call = world.get(1, "/").signed_in(&world.session(BOB, 1));
    let call = lines
        .iter()
        .fold(call, |call, line| call.also("x-forwarded-for", line));
    let seen = call.with("x-forwarded-proto", "https").send().await.json();
    assert_eq!(seen["headers"]["x-forwarded-proto"], "http", "{lines:?}");
    seen["headers"]["x-forwarded-for"].clone()
}

#[tokio::test]
async fn airflow_hears_whom_a_trusted_proxy_asks_for_and_nothing_that_others_wrote() {
    let mut world = World::prepare().await;
    let proxies = ["127.0.0.1", "10.0.1.0/24"].map(|text| text.parse::<TrustedProxy>().unwrap());
    world.config.trusted_proxies = proxies.into_iter().collect();
    world.start_edge().await;
    let rows: [(&[&str], &str); 8] = [
        (&[], "127.0.0.1"),
        (&["203.0.113.5"], "203.0.113.5"),
        (&["6.6.6.6, 203.0.113.5"], "203.0.113.5"),
        (&["6.6.6.6", "203.0.113.5:567", "10.0.1.3"], "203.0.113.5"),
        (&["[2001:db8::5]:567"], "2001:db8::5"),
        (&["::ffff:203.0.113.5"], "203.0.113.5"),
        (&["6.6.6.6, <script>"], "127.0.0.1"),
        (&["10.0.1.2"], "10.0.1.2"),
    ];
    for (lines, expected) in rows {
        assert_eq!(client_seen(&world, lines).await, expected, "{lines:?}");
    }
}

#[tokio::test]
async fn who_is_no_trusted_proxy_stays_who_they_are() {
    let mut world = World::prepare().await;
    let elsewhere: TrustedProxy = "10.0.1.0/24".parse().unwrap();
    world.config.trusted_proxies = [elsewhere].into_iter().collect();
    world.start_edge().await;
    for lines in [&["6.6.6.6"][..], &["10.0.1.3"], &["6.6.6.6, 10.0.1.3"]] {
        assert_eq!(client_seen(&world, lines).await, "127.0.0.1", "{lines:?}");
    }
}

#[tokio::test]
async fn updrafts_cookies_and_airflows_token_cookie_stay_outside() {
    let world = World::start().await;
    let session = world.session(ALICE, 1);
    let cookies = format!(
        "theme=dark; updraft_edge={session}; _token=evil; updraft_binding=x; __Host-updraft_edge=y; lang=de"
    );
    let seen = world.get(1, "/").with("cookie", &cookies).send().await.json();
    assert_eq!(seen["headers"]["cookie"], "theme=dark; lang=de");

    let seen = world.get(1, "/").signed_in(&session).send().await.json();
    assert!(seen["headers"].get("cookie").is_none());
}

#[tokio::test]
async fn airflow_reaches_no_further_than_its_prefix() {
    let world = World::start().await;
    let answer = world
        .get(1, "/hostile")
        .signed_in(&world.session(ALICE, 1))
        .send()
        .await;
    for name in [
        "service-worker-allowed",
        "clear-site-data",
        "strict-transport-security",
        "alt-svc",
        "x-accel-redirect",
        "keep-alive",
        "x-secret-hop",
    ] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    let cookies: Vec<_> = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|v| v.to_str().unwrap())
        .collect();
    assert_eq!(
        cookies,
        ["fine=1; Path=/airflow-webserver-1/; HttpOnly", "plain=1"]
    );
    assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"));
    assert_eq!(answer.header("cache-control"), Some("private"));
}

#[tokio::test]
async fn a_service_worker_is_never_installed() {
    let world = World::start().await;
    let answer = world
        .get(1, "/sw.js")
        .with("service-worker", "script")
        .signed_in(&world.session(ALICE, 1))
        .send()
        .await;
    assert_eq!(answer.status, 403);
}
