//! Back-channel logout: whatever else is signed ends no session.

use serde_json::{Value, json};

use super::provider::{Provider, now};
use super::row::{Change, without};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token that is not one.
#[derive(Clone, Debug)]
pub struct LogoutRow {
    pub name: &'static str,
    pub refused: &'static str,
    pub change: Change,
}

// === impl Provider ===

impl Provider {
    /// A token that ends Ada's session there, honest but for these changes.
    pub fn logout_token(&self, change: impl FnOnce(&mut Value)) -> String {
        self.token(|claims| {
            claims["jti"] = json!("logout-1");
            claims["sub"] = json!("ada");
            claims["sid"] = json!("session-1");
            claims["exp"] = json!(now().timestamp() + 120);
            claims["events"] = json!({EVENT: {}});
            change(claims);
        })
    }
}

#[must_use]
pub fn logout_rows() -> Vec<LogoutRow> {
    vec![
        row("an ID token", "oidc.logout_not_meant", |claims| {
            claims["nonce"] = json!("n");
            without(claims, "events");
        }),
        row("with a nonce", "oidc.logout_not_meant", |claims| {
            claims["nonce"] = json!("n");
        }),
        row("another event", "oidc.logout_not_meant", |claims| {
            claims["events"] = json!({"https://other": {}});
        }),
        row("an event that is a word", "oidc.logout_not_meant", |claims| {
            claims["events"] = json!(EVENT);
        }),
        row("an event that says nothing", "oidc.logout_not_meant", |claims| {
            claims["events"] = json!({EVENT: true});
        }),
        row("wrong issuer", "oidc.wrong_issuer", |claims| {
            claims["iss"] = json!("https://attacker.example");
        }),
        row("wrong audience", "oidc.wrong_audience", |claims| {
            claims["aud"] = json!("other");
        }),
        row("nobody's", "oidc.logout_incomplete", |claims| {
            without(claims, "sub");
            without(claims, "sid");
        }),
        row("without an id", "oidc.logout_incomplete", |claims| {
            without(claims, "jti");
        }),
        row("without a time", "oidc.logout_incomplete", |claims| {
            without(claims, "iat");
        }),
        row("expired", "oidc.logout_out_of_time", |claims| {
            claims["exp"] = json!(now().timestamp() - 61);
        }),
        row("old, and good for ever", "oidc.logout_out_of_time", |claims| {
            claims["iat"] = json!(now().timestamp() - 3600);
            claims["exp"] = json!(now().timestamp() + 86_400);
        }),
        row("from the future", "oidc.logout_out_of_time", |claims| {
            claims["iat"] = json!(now().timestamp() + 90);
        }),
    ]
}

fn row(name: &'static str, refused: &'static str, change: Change) -> LogoutRow {
    LogoutRow {
        name,
        refused,
        change,
    }
}
