//! Claims that do not fit, in a token that is signed as it should be.

use serde_json::json;

use super::provider::now;
use super::row::{Row, claims, without};

pub(super) fn rows() -> Vec<Row> {
    vec![
        claims("wrong nonce", "oidc.wrong_nonce", |claims| {
            claims["nonce"] = json!("other");
        }),
        claims("missing nonce", "oidc.wrong_nonce", |claims| {
            without(claims, "nonce");
        }),
        claims("empty nonce", "oidc.wrong_nonce", |claims| {
            claims["nonce"] = json!("");
        }),
        claims("wrong issuer", "oidc.wrong_issuer", |claims| {
            claims["iss"] = json!("https://attacker.example");
        }),
        claims("issuer with a slash more", "oidc.wrong_issuer", |claims| {
            claims["iss"] = json!(format!("{}/", claims["iss"].as_str().unwrap()));
        }),
        claims("missing issuer", "oidc.wrong_issuer", |claims| {
            without(claims, "iss");
        }),
        claims("wrong audience", "oidc.wrong_audience", |claims| {
            claims["aud"] = json!("other");
        }),
        claims("missing audience", "oidc.wrong_audience", |claims| {
            without(claims, "aud");
        }),
        claims(
            "an audience that begins like us",
            "oidc.wrong_audience",
            |claims| {
                claims["aud"] = json!("updraft-staging");
            },
        ),
        claims("an audience that is no name", "oidc.wrong_audience", |claims| {
            claims["aud"] = json!(["updraft", 7]);
        }),
        claims(
            "another audience besides, without azp",
            "oidc.wrong_authorized_party",
            |claims| {
                claims["aud"] = json!(["updraft", "other"]);
            },
        ),
        claims(
            "issued to another application",
            "oidc.wrong_authorized_party",
            |claims| {
                claims["aud"] = json!(["updraft", "other"]);
                claims["azp"] = json!("other");
            },
        ),
        claims(
            "azp of another for us alone",
            "oidc.wrong_authorized_party",
            |claims| claims["azp"] = json!("other"),
        ),
        claims("azp that is no name", "oidc.wrong_authorized_party", |claims| {
            claims["azp"] = json!(["updraft"]);
        }),
        claims("expired", "oidc.expired", |claims| {
            claims["exp"] = json!(now().timestamp() - 61);
        }),
        claims("no expiry", "oidc.token_malformed", |claims| {
            without(claims, "exp");
        }),
        claims("an expiry that is no time", "oidc.token_malformed", |claims| {
            claims["exp"] = json!("tomorrow");
        }),
        claims("an expiry beyond all times", "oidc.token_malformed", |claims| {
            claims["exp"] = json!(1e300);
        }),
        claims("issued in the future", "oidc.issued_in_future", |claims| {
            claims["iat"] = json!(now().timestamp() + 90);
        }),
        claims("no time of issue", "oidc.token_malformed", |claims| {
            without(claims, "iat");
        }),
        claims("not valid yet", "oidc.not_yet_valid", |claims| {
            claims["nbf"] = json!(now().timestamp() + 90);
        }),
        claims("a beginning that is no time", "oidc.token_malformed", |claims| {
            claims["nbf"] = json!("later");
        }),
        claims("signed in in the future", "oidc.issued_in_future", |claims| {
            claims["auth_time"] = json!(now().timestamp() + 90);
        }),
        claims("wrong at_hash", "oidc.wrong_access_token", |claims| {
            claims["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
        }),
        claims("at_hash that is no text", "oidc.wrong_access_token", |claims| {
            claims["at_hash"] = json!(7);
        }),
        claims("no subject", "oidc.subject_missing", |claims| {
            without(claims, "sub");
        }),
        claims("empty subject", "oidc.subject_missing", |claims| {
            claims["sub"] = json!("");
        }),
        claims("a subject that is a number", "oidc.subject_missing", |claims| {
            claims["sub"] = json!(7);
        }),
        claims("an endless subject", "oidc.subject_missing", |claims| {
            claims["sub"] = json!("a".repeat(256));
        }),
        claims("a subject over two lines", "oidc.subject_missing", |claims| {
            claims["sub"] = json!("ada\nroot");
        }),
    ]
}
