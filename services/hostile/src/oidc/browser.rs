//! What the browser brings back is not believed, nor may what was remembered of the sign-in be another's.

use chrono::TimeDelta;

use super::row::{Row, browser, remembered};

pub(super) fn rows() -> Vec<Row> {
    vec![
        browser("wrong state", "oidc.wrong_state", |query| {
            query.insert("state".into(), "x".repeat(43));
        })
        .told("sign_in.unknown_state"),
        browser("missing state", "oidc.wrong_state", |query| {
            query.remove("state");
        })
        .told("sign_in.unknown_state"),
        browser("empty state", "oidc.wrong_state", |query| {
            query.insert("state".into(), String::new());
        })
        .told("sign_in.unknown_state"),
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
