//! Endpoints that cheat, or lead where nobody may be led.

use serde_json::json;

use super::provider::DISCOVERY;
use super::reply::Reply;
use super::row::{Row, provider, without};

pub(super) fn rows() -> Vec<Row> {
    vec![
        provider(
            "discovered issuer of another",
            "oidc.wrong_discovered_issuer",
            |conduct| {
                conduct.document["issuer"] = json!("https://attacker.example");
            },
        ),
        provider(
            "discovered issuer with a slash more",
            "oidc.wrong_discovered_issuer",
            |conduct| {
                conduct.document["issuer"] = json!(format!("{}/", conduct.url));
            },
        ),
        provider(
            "Entra for all directories",
            "oidc.wrong_discovered_issuer",
            |conduct| {
                conduct.document["issuer"] = json!("https://login.microsoftonline.com/{tenantid}/v2.0");
            },
        ),
        provider(
            "another provider's token endpoint",
            "oidc.wrong_signature",
            |conduct| {
                conduct.document["token_endpoint"] = json!(format!("{}/token", conduct.other));
            },
        ),
        provider(
            "sign-in page that is a script",
            "oidc.insecure_endpoint",
            |conduct| {
                conduct.document["authorization_endpoint"] = json!("javascript:alert(1)");
            },
        ),
        provider("keys on a private address", "oidc.forbidden_address", |conduct| {
            conduct.document["jwks_uri"] = json!("https://10.0.0.1/keys");
        }),
        provider(
            "tokens from the metadata service",
            "oidc.forbidden_address",
            |conduct| {
                conduct.document["token_endpoint"] = json!("http://169.254.169.254/latest/api/token");
            },
        ),
        provider(
            "tokens from a port of our own",
            "oidc.forbidden_address",
            |conduct| {
                conduct.document["token_endpoint"] = json!("http://127.0.0.1:7702/");
            },
        ),
        provider(
            "tokens from a loopback in disguise",
            "oidc.forbidden_address",
            |conduct| {
                conduct.document["token_endpoint"] = json!("https://[::ffff:127.0.0.1]/token");
            },
        ),
        provider(
            "userinfo on a private address",
            "oidc.forbidden_address",
            |conduct| {
                conduct.document["userinfo_endpoint"] = json!("https://192.168.0.1/userinfo");
            },
        ),
        provider(
            "discovery redirects to a private address",
            "oidc.forbidden_address",
            |conduct| {
                conduct
                    .instead
                    .insert(DISCOVERY, Reply::Redirects("https://10.0.0.1/".into()));
            },
        ),
        provider(
            "discovery redirects to a file",
            "oidc.forbidden_address",
            |conduct| {
                conduct
                    .instead
                    .insert(DISCOVERY, Reply::Redirects("file:///etc/passwd".into()));
            },
        ),
        provider("discovery redirects for ever", "oidc.redirected", |conduct| {
            conduct
                .instead
                .insert(DISCOVERY, Reply::Redirects(DISCOVERY.into()));
        }),
        provider("token endpoint redirects", "oidc.redirected", |conduct| {
            let to = format!("{}/token", conduct.other);
            conduct.instead.insert("/token", Reply::Redirects(to));
        }),
        provider("userinfo redirects", "oidc.redirected", |conduct| {
            let to = format!("{}/userinfo", conduct.other);
            conduct.instead.insert("/userinfo", Reply::Redirects(to));
        }),
        provider("code used before", "oidc.code_refused", |conduct| {
            let body = json!({"error": "invalid_grant", "error_description": "HOSTILE"});
            conduct
                .instead
                .insert("/token", Reply::Says(400, body.to_string()));
        }),
        provider("client not accepted", "oidc.client_refused", |conduct| {
            conduct.instead.insert(
                "/token",
                Reply::Says(401, json!({"error": "invalid_client"}).to_string()),
            );
        }),
        provider("client may not", "oidc.grant_not_allowed", |conduct| {
            conduct.instead.insert(
                "/token",
                Reply::Says(400, json!({"error": "unauthorized_client"}).to_string()),
            );
        }),
        provider(
            "an error that OAuth does not know",
            "oidc.token_request_refused",
            |conduct| {
                conduct.instead.insert(
                    "/token",
                    Reply::Says(400, json!({"error": "HOSTILE"}).to_string()),
                );
            },
        ),
        provider("no ID token", "oidc.id_token_missing", |conduct| {
            conduct.tokens = |tokens| without(tokens, "id_token");
        }),
        provider("no access token", "oidc.unexpected_answer", |conduct| {
            conduct.tokens = |tokens| without(tokens, "access_token");
        }),
        provider(
            "an access token that is a header",
            "oidc.unexpected_answer",
            |conduct| {
                conduct.claims = |claims| without(claims, "at_hash");
                conduct.tokens = |tokens| tokens["access_token"] = json!("x\r\nHost: attacker.example");
            },
        ),
        provider(
            "userinfo of another person",
            "oidc.userinfo_of_another",
            |conduct| {
                conduct.userinfo["sub"] = json!("root");
            },
        ),
        provider("userinfo of nobody", "oidc.userinfo_of_another", |conduct| {
            without(&mut conduct.userinfo, "sub");
        }),
    ]
}
