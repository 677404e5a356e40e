//! Only the provider's own signature counts, with a key that it published for that.

use jsonwebtoken::Algorithm;
use serde_json::json;

use super::provider::SECRET;
use super::reply::Reply;
use super::row::{Row, provider, without};
use super::tokens::{Key, Signing};

pub(super) fn rows() -> Vec<Row> {
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
