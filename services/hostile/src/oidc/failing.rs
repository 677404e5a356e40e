//! A provider that fails: nobody is signed in, whatever is missing.

use super::provider::DISCOVERY;
use super::reply::Reply;
use super::row::{Row, provider, without};

pub(super) fn rows() -> Vec<Row> {
    vec![
        provider("discovery answers 500", "oidc.provider_failing", |conduct| {
            conduct
                .instead
                .insert(DISCOVERY, Reply::Says(500, "HOSTILE".into()));
        }),
        provider("discovery answers 404", "oidc.unexpected_answer", |conduct| {
            conduct.instead.insert(DISCOVERY, Reply::Says(404, String::new()));
        }),
        provider("discovery is a web page", "oidc.unexpected_answer", |conduct| {
            conduct.instead.insert(DISCOVERY, Reply::html());
        }),
        provider("discovery is huge", "oidc.too_large", |conduct| {
            conduct.instead.insert(DISCOVERY, Reply::Endless);
        }),
        provider("discovery is deep", "oidc.unexpected_answer", |conduct| {
            conduct
                .instead
                .insert(DISCOVERY, Reply::Says(200, "[".repeat(500_000)));
        }),
        provider("discovery is compressed", "oidc.unexpected_answer", |conduct| {
            conduct.instead.insert(DISCOVERY, Reply::Compressed);
        }),
        provider("discovery breaks off", "oidc.unexpected_answer", |conduct| {
            conduct.instead.insert(DISCOVERY, Reply::BreaksOff);
        }),
        provider(
            "discovery without endpoints",
            "oidc.unexpected_answer",
            |conduct| {
                without(&mut conduct.document, "token_endpoint");
            },
        ),
        provider("discovery never ends", "oidc.slow", |conduct| {
            conduct.instead.insert(DISCOVERY, Reply::Never);
        }),
        provider("discovery trickles", "oidc.slow", |conduct| {
            conduct.instead.insert(DISCOVERY, Reply::Trickles);
        }),
        provider("keys answer 503", "oidc.provider_failing", |conduct| {
            conduct.instead.insert("/keys", Reply::Says(503, String::new()));
        }),
        provider("keys are a web page", "oidc.unexpected_answer", |conduct| {
            conduct.instead.insert("/keys", Reply::html());
        }),
        provider("no keys", "oidc.unknown_key", |conduct| conduct.keys.clear()),
        provider("tokens are a web page", "oidc.unexpected_answer", |conduct| {
            conduct.instead.insert("/token", Reply::html());
        }),
        provider("tokens answer 502", "oidc.provider_failing", |conduct| {
            conduct
                .instead
                .insert("/token", Reply::Says(502, "HOSTILE".into()));
        }),
        provider("tokens are deep", "oidc.unexpected_answer", |conduct| {
            let body = format!("{{\"a\":{}", "[".repeat(100_000));
            conduct.instead.insert("/token", Reply::Says(200, body));
        }),
        provider("tokens never come", "oidc.slow", |conduct| {
            conduct.instead.insert("/token", Reply::Never);
        }),
        provider("userinfo is a web page", "oidc.unexpected_answer", |conduct| {
            conduct.instead.insert("/userinfo", Reply::html());
        }),
        provider("userinfo answers 500", "oidc.provider_failing", |conduct| {
            conduct
                .instead
                .insert("/userinfo", Reply::Says(500, String::new()));
        }),
    ]
}
