use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, put};
use secrecy::ExposeSecret as _;

use super::*;

async fn metadata_service() -> Url {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let knows = |headers: &HeaderMap| {
        headers
            .get("x-aws-ec2-metadata-token")
            .is_some_and(|t| t == "session")
    };
    let list = move |headers: HeaderMap| async move {
        knows(&headers)
            .then_some("control\n")
            .ok_or(StatusCode::UNAUTHORIZED)
    };
    let role = move |headers: HeaderMap| async move {
        let given = r#"{"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s","Token":"t","Expiration":"2031-01-01T00:00:00Z"}"#;
        knows(&headers).then_some(given).ok_or(StatusCode::UNAUTHORIZED)
    };
    let router = Router::new()
        .route("/latest/api/token", put(|| async { "session" }))
        .route("/latest/meta-data/iam/security-credentials/", get(list))
        .route("/latest/meta-data/iam/security-credentials/control", get(role));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Url::parse(&format!("http://{address}/")).unwrap()
}

fn nothing(_: &str) -> Option<String> {
    None
}

#[tokio::test]
async fn a_machines_role_is_read_in_a_session() {
    let metadata = metadata_service().await;
    let own = OwnCredentials {
        metadata,
        environment: nothing,
        ..OwnCredentials::new().unwrap()
    };
    let found = own.credentials().await.unwrap();
    assert_eq!(found.access_key, "ASIA1");
    assert_eq!(found.session_token.unwrap().expose_secret(), "t");
    assert!(found.expires_at.is_some());
}

#[tokio::test]
async fn without_role_and_environment_it_says_what_to_do() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let own = OwnCredentials {
        metadata: Url::parse("http://127.0.0.1:1/").unwrap(),
        environment: nothing,
        ..OwnCredentials::new().unwrap()
    };
    assert!(
        own.credentials()
            .await
            .unwrap_err()
            .to_string()
            .contains("instance profile")
    );
}

#[tokio::test]
async fn the_environment_comes_first() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let own = OwnCredentials {
        environment: |name| name.starts_with("AWS_").then(|| format!("{name}-value")),
        ..OwnCredentials::new().unwrap()
    };
    assert_eq!(
        own.credentials().await.unwrap().access_key,
        "AWS_ACCESS_KEY_ID-value"
    );
}
