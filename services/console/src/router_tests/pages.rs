//! What every page keeps to, and the live stream.

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::header::{CONTENT_TYPE, COOKIE};
use axum::http::{Request, StatusCode};
use futures::StreamExt as _;

use super::house;
use crate::fixtures::assert_accessible;

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
        "/audit",
        "/account",
        "/aws-accounts",
        "/tokens",
        "/device",
        "/tenant",
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
        let total = compressed(&page.html) + crate::assets::sent_with(&page.html);
        assert!(total < 60_000, "{path} and its assets: {total} bytes");
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
