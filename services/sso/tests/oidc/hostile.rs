//! Every way in which a provider, a browser or somebody between them may cheat or fail, and what each is refused with.
//! Beside all rows stands the same sign-in undisturbed, which passes ([`crate::sign_in`] and the first assertion here).

use std::collections::HashMap;

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use updraft_model::{OidcConfig, OidcPreset};
use updraft_sso::oidc::{Attempt, Callback, Oidc};
use updraft_sso::{Refusal, VouchedIdentity};

use crate::provider::{Conduct, Provider, Reply, SECRET, now, outbound, redirect_uri};
use crate::tokens::{Key, Signing};

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Who does what, and what comes of it.
struct Row {
    name: &'static str,
    provider: fn(&mut Conduct),
    /// What the browser brings back, and what was remembered of the attempt.
    browser: fn(&mut HashMap<String, String>),
    attempt: fn(&mut Attempt),
    config: fn(&mut OidcConfig),
    refused: &'static str,
}

fn row(name: &'static str, refused: &'static str) -> Row {
    Row {
        name,
        provider: |_| {},
        browser: |_| {},
        attempt: |_| {},
        config: |_| {},
        refused,
    }
}

fn provider(name: &'static str, refused: &'static str, provider: fn(&mut Conduct)) -> Row {
    Row {
        provider,
        ..row(name, refused)
    }
}

fn claims(name: &'static str, refused: &'static str, claims: Change) -> (Row, Change) {
    (row(name, refused), claims)
}

fn browser(name: &'static str, refused: &'static str, browser: fn(&mut HashMap<String, String>)) -> Row {
    Row {
        browser,
        ..row(name, refused)
    }
}

fn remembered(name: &'static str, refused: &'static str, attempt: fn(&mut Attempt)) -> Row {
    Row {
        attempt,
        ..row(name, refused)
    }
}

fn set_up(
    name: &'static str,
    refused: &'static str,
    config: fn(&mut OidcConfig),
    provider: fn(&mut Conduct),
) -> Row {
    Row {
        config,
        provider,
        ..row(name, refused)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_browser_brings_is_not_believed() {
    refuse_all(browser_rows()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_do_not_fit_are_refused() {
    let rows = claims_rows();
    for (row, change) in rows {
        let (answer, _) = sign_in(&row, Some(change)).await;
        assert_refused(&row, answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_providers_own_signature_counts() {
    refuse_all(signature_rows()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_cheat_are_refused() {
    refuse_all(endpoint_rows()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_are_not_meant_are_refused() {
    refuse_all(people_rows()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_said_to_be() {
    refuse_all(failing_rows()).await;
}

#[test]
fn there_are_enough_rows_and_each_has_a_name_of_its_own() {
    let rows = [
        browser_rows(),
        signature_rows(),
        endpoint_rows(),
        people_rows(),
        failing_rows(),
    ];
    let mut names: Vec<&str> = rows.iter().flatten().map(|row| row.name).collect();
    names.extend(claims_rows().iter().map(|(row, _)| row.name));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count >= 80, "{count}");
}

fn browser_rows() -> Vec<Row> {
    vec![
        browser("wrong state", "oidc.wrong_state", |query| {
            query.insert("state".into(), "x".repeat(43));
        }),
        browser("missing state", "oidc.wrong_state", |query| {
            query.remove("state");
        }),
        browser("empty state", "oidc.wrong_state", |query| {
            query.insert("state".into(), String::new());
        }),
        browser("no code and no error", "oidc.callback_malformed", |query| {
            query.remove("code");
        }),
        browser("empty code", "oidc.callback_malformed", |query| {
            query.insert("code".into(), String::new());
        }),
        browser("code and error", "oidc.callback_malformed", |query| {
            query.insert("error".into(), "access_denied".into());
        }),
        browser("another person's code", "oidc.code_refused", |query| {
            query.insert("code".into(), "stolen".into());
        }),
        browser(
            "mix-up: sent back by another provider",
            "oidc.mixed_up",
            |query| {
                query.insert("iss".into(), "https://attacker.example".into());
            },
        ),
        browser("mix-up: issuer taken out", "oidc.mixed_up", |query| {
            query.remove("iss");
        }),
        browser("denied, with words of an attacker's", "oidc.denied", |query| {
            query.remove("code");
            query.insert("error".into(), "access_denied".into());
            query.insert("error_description".into(), "HOSTILE call this number".into());
        }),
        browser("an error that nobody knows", "oidc.provider_refused", |query| {
            query.remove("code");
            query.insert("error".into(), "<script>HOSTILE</script>".into());
        }),
        browser("asked for more", "oidc.sign_in_unfinished", |query| {
            query.remove("code");
            query.insert("error".into(), "login_required".into());
        }),
        browser("the sign-in page fails", "oidc.provider_failing", |query| {
            query.remove("code");
            query.insert("error".into(), "server_error".into());
        }),
        remembered(
            "a code injected into another sign-in",
            "oidc.code_refused",
            |attempt| {
                attempt.verifier = "v".repeat(43);
            },
        ),
        remembered("an attempt of yesterday", "oidc.attempt_expired", |attempt| {
            attempt.begun_at -= TimeDelta::days(1);
        }),
        remembered("an attempt of tomorrow", "oidc.attempt_expired", |attempt| {
            attempt.begun_at += TimeDelta::days(1);
        }),
        remembered(
            "begun with another provider",
            "oidc.provider_changed",
            |attempt| {
                attempt.issuer = "https://attacker.example".into();
            },
        ),
        remembered("begun with another client", "oidc.provider_changed", |attempt| {
            attempt.client_id = "other".into();
        }),
        remembered("a nonce of another sign-in", "oidc.wrong_nonce", |attempt| {
            attempt.nonce = "n".repeat(43);
        }),
    ]
}

type Change = fn(&mut Value);

fn claims_rows() -> Vec<(Row, Change)> {
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

fn signature_rows() -> Vec<Row> {
    vec![
        provider("alg none", "oidc.algorithm_refused", |conduct| {
            conduct.signing = Signing::Unsigned;
        }),
        provider(
            "alg None, otherwise written",
            "oidc.algorithm_refused",
            |conduct| {
                conduct.signing = Signing::Unsigned;
                conduct.header = |header, _| header["alg"] = json!("NoNe");
            },
        ),
        provider("HS256 with the public key", "oidc.algorithm_refused", |conduct| {
            conduct.signing = Signing::Hmac(conduct.keys[0].public_pem());
            conduct.header = |header, _| header["kid"] = json!("first");
        }),
        provider(
            "HS256 with the client's secret",
            "oidc.algorithm_refused",
            |conduct| {
                conduct.signing = Signing::Hmac(SECRET.into());
            },
        ),
        provider(
            "HMAC under the name of a good algorithm",
            "oidc.wrong_signature",
            |conduct| {
                conduct.signing = Signing::Hmac(conduct.keys[0].public_pem());
                conduct.header = |header, _| *header = json!({"alg": "ES256", "kid": "first"});
            },
        ),
        provider("no algorithm", "oidc.token_malformed", |conduct| {
            conduct.header = |header, _| without(header, "alg");
        }),
        provider("a key in the header", "oidc.unknown_key", |conduct| {
            conduct.signing = Signing::With(Key::new("own", Algorithm::ES256));
            conduct.header = |header, conduct| {
                let Signing::With(key) = &conduct.signing else {
                    return;
                };
                header["jwk"] = key.public();
            };
        }),
        provider(
            "a key in the header, under a known name",
            "oidc.wrong_signature",
            |conduct| {
                conduct.signing = Signing::With(Key::new("first", Algorithm::ES256));
                conduct.header = |header, conduct| {
                    let Signing::With(key) = &conduct.signing else {
                        return;
                    };
                    header["jwk"] = key.public();
                };
            },
        ),
        provider("a key's address in the header", "oidc.unknown_key", |conduct| {
            conduct.signing = Signing::With(Key::new("own", Algorithm::ES256));
            conduct.header = |header, conduct| header["jku"] = json!(format!("{}/keys", conduct.other));
        }),
        provider(
            "a certificate's address in the header",
            "oidc.unknown_key",
            |conduct| {
                conduct.signing = Signing::With(Key::new("own", Algorithm::ES256));
                conduct.header = |header, conduct| header["x5u"] = json!(format!("{}/keys", conduct.other));
            },
        ),
        provider("unknown key", "oidc.unknown_key", |conduct| {
            conduct.signing = Signing::With(Key::new("own", Algorithm::ES256));
        }),
        provider(
            "a key without a name, where there are two",
            "oidc.unknown_key",
            |conduct| {
                conduct.keys.push(Key::new("second", Algorithm::ES256));
                conduct.header = |header, _| without(header, "kid");
            },
        ),
        provider(
            "another key under the same name",
            "oidc.wrong_signature",
            |conduct| {
                conduct.signing = Signing::With(Key::new("first", Algorithm::ES256));
            },
        ),
        provider(
            "an algorithm that is not the key's",
            "oidc.unknown_key",
            |conduct| {
                conduct.header = |header, _| header["alg"] = json!("RS256");
            },
        ),
        provider("another curve than the key's", "oidc.unknown_key", |conduct| {
            conduct.signing = Signing::With(Key::new("first", Algorithm::ES384));
        }),
        provider("a key for encryption", "oidc.unknown_key", |conduct| {
            let mut key = conduct.keys[0].public();
            key["use"] = json!("enc");
            conduct
                .instead
                .insert("/keys", Reply::Says(200, json!({"keys": [key]}).to_string()));
        }),
        provider("an RSA key that is too short", "oidc.unknown_key", |conduct| {
            conduct.header = |header, _| header["alg"] = json!("RS256");
            let key = json!({"kty": "RSA", "kid": "first", "n": "t".repeat(170), "e": "AQAB"});
            conduct
                .instead
                .insert("/keys", Reply::Says(200, json!({"keys": [key]}).to_string()));
        }),
        provider(
            "a symmetric key among the published",
            "oidc.algorithm_refused",
            |conduct| {
                conduct.signing = Signing::Hmac(b"published".to_vec());
                conduct.header = |header, _| header["kid"] = json!("first");
                let key = json!({"kty": "oct", "kid": "first", "k": "cHVibGlzaGVk"});
                conduct
                    .instead
                    .insert("/keys", Reply::Says(200, json!({"keys": [key]}).to_string()));
            },
        ),
        provider("changed after signing", "oidc.wrong_signature", |conduct| {
            conduct.spoil = |token| {
                let parts: Vec<&str> = token.split('.').collect();
                format!("{}.{}.{}", parts[0], "eyJzdWIiOiJyb290In0", parts[2])
            };
        }),
        provider("signature cut off", "oidc.wrong_signature", |conduct| {
            conduct.spoil = |token| token[..=token.rfind('.').unwrap()].to_owned();
        }),
        provider("two parts", "oidc.token_malformed", |conduct| {
            conduct.spoil = |token| token[..token.rfind('.').unwrap()].to_owned();
        }),
        provider("five parts", "oidc.token_malformed", |conduct| {
            conduct.spoil = |token| format!("{token}.a.b");
        }),
        provider("no token at all", "oidc.token_malformed", |conduct| {
            conduct.spoil = |_| "<html>".to_owned();
        }),
        provider(
            "an extension that must be understood",
            "oidc.token_malformed",
            |conduct| {
                conduct.header = |header, _| header["crit"] = json!(["exp"]);
            },
        ),
        provider("a logout token", "oidc.wrong_token_type", |conduct| {
            conduct.header = |header, _| header["typ"] = json!("logout+jwt");
        }),
        provider("an access token", "oidc.wrong_token_type", |conduct| {
            conduct.header = |header, _| header["typ"] = json!("at+jwt");
        }),
        provider("endless token", "oidc.token_malformed", |conduct| {
            conduct.spoil = |token| format!("{token}{}", "A".repeat(70_000));
        }),
    ]
}

fn endpoint_rows() -> Vec<Row> {
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

fn people_rows() -> Vec<Row> {
    vec![
        set_up("another hosted domain", "oidc.other_domain", google, |conduct| {
            conduct.claims = |claims| claims["hd"] = json!("attacker.example");
        }),
        set_up("a private Google account", "oidc.other_domain", google, |_| {}),
        set_up(
            "a hosted domain that ends like ours",
            "oidc.other_domain",
            google,
            |conduct| {
                conduct.claims = |claims| claims["hd"] = json!("not-example.com");
            },
        ),
        set_up(
            "Google without a hosted domain",
            "oidc.hosted_domain_unset",
            |config| {
                google(config);
                config.hosted_domains.clear();
            },
            |_| {},
        ),
        provider("groups elsewhere (Entra)", "oidc.groups_overage", |conduct| {
            conduct.claims = |claims| {
                without(claims, "groups");
                claims["_claim_names"] = json!({"groups": "src1"});
                claims["_claim_sources"] = json!({"src1": {"endpoint": "http://169.254.169.254/"}});
            };
        }),
        provider(
            "too many groups to say (Entra)",
            "oidc.groups_overage",
            |conduct| {
                conduct.claims = |claims| {
                    without(claims, "groups");
                    claims["hasgroups"] = json!(true);
                };
            },
        ),
        provider(
            "more groups than anybody has",
            "oidc.too_many_groups",
            |conduct| {
                conduct.groups = (0..1001)
                    .map(|number| format!("group-{number}"))
                    .collect::<Vec<_>>()
                    .into();
            },
        ),
        provider("groups that are no names", "oidc.groups_malformed", |conduct| {
            conduct.groups = json!([{"name": "data-platform"}]);
        }),
        provider("groups that are yes", "oidc.groups_malformed", |conduct| {
            conduct.groups = json!(true);
        }),
    ]
}

fn failing_rows() -> Vec<Row> {
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

fn google(config: &mut OidcConfig) {
    config.preset = OidcPreset::Google;
    config.groups_claim = None;
    config.hosted_domains = vec!["example.com".to_owned()];
}

fn without(object: &mut Value, name: &str) {
    object.as_object_mut().unwrap().remove(name);
}

async fn refuse_all(rows: Vec<Row>) {
    for row in rows {
        let (answer, other) = sign_in(&row, None).await;
        assert_refused(&row, answer);
        assert_eq!(
            other.times_asked("/keys"),
            0,
            "{}: keys were fetched from where the token said",
            row.name
        );
    }
}

fn assert_refused(row: &Row, answer: Result<VouchedIdentity, Refusal>) {
    let name = row.name;
    let refusal = answer.expect_err(name);
    assert_eq!(refusal.code, row.refused, "{name}: {refusal}");
    assert!(!refusal.text.contains("HOSTILE"), "{name} is repeated: {refusal}");
    assert!(!refusal.text.contains("  "), "{name}: {refusal}");
}

/// First the control: the same sign-in with nothing changed passes. Then the row's.
async fn sign_in(row: &Row, claims: Option<fn(&mut Value)>) -> (Result<VouchedIdentity, Refusal>, Provider) {
    let other = Provider::start("").await;
    let provider = Provider::start(&other.url).await;
    let honest = self::row(row.name, "");
    let control = attempt(&honest, &provider, &other).await;
    assert_eq!(control.expect("the control passes").subject, "ada");
    provider.behaves(row.provider);
    if let Some(claims) = claims {
        provider.behaves(|conduct| conduct.claims = claims);
    }
    (attempt(row, &provider, &other).await, other)
}

async fn attempt(row: &Row, provider: &Provider, other: &Provider) -> Result<VouchedIdentity, Refusal> {
    let oidc = Oidc::new(outbound(&[&provider.url, &other.url]));
    let secret = SECRET.into();
    let mut config = provider.config();
    (row.config)(&mut config);
    let mut begun = oidc.begin(&config, &redirect_uri(), None, now()).await?;
    // At worst the other provider has seen all that the browser showed.
    other.visited(&begun.url);
    let mut query = provider.visited(&begun.url);
    (row.browser)(&mut query);
    (row.attempt)(&mut begun.attempt);
    let query = serde_urlencoded::to_string(query).unwrap();
    let callback = Callback::parse(&query)?;
    oidc.finish(&config, Some(&secret), &begun.attempt, &callback, now())
        .await
}
