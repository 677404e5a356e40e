//! An honest little OpenID provider, for what is decided after the protocol. What the protocol refuses is tried in
//! `services/sso/tests`; the certified provider is used in `tests/e2e`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use chrono::Utc;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use url::Url;

#[derive(Clone)]
pub(super) struct Idp {
    pub(super) url: String,
    key: EncodingKey,
    conduct: Arc<Mutex<Conduct>>,
}

#[derive(Default)]
struct Conduct {
    /// Who signs in next, and what is said of them.
    person: Value,
    nonces: HashMap<String, String>,
    codes: u32,
    discovered: usize,
    /// Nobody is vouched for any more.
    gone: bool,
    down: bool,
}

// === impl Idp ===

impl Idp {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let idp = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            key: EncodingKey::from_ec_der(&pair.serialize_der()),
            conduct: Arc::default(),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(idp.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        idp.person("ada", json!({}));
        idp
    }

    /// Whoever signs in next is this subject, with these claims.
    pub(super) fn person(&self, subject: &str, claims: Value) {
        let mut person = json!({"sub": subject});
        let Value::Object(claims) = claims else {
            panic!("claims are an object");
        };
        for (name, value) in claims {
            person[name] = value;
        }
        self.conduct.lock().unwrap().person = person;
    }

    pub(super) fn vouches_for_nobody(&self) {
        self.conduct.lock().unwrap().gone = true;
    }

    pub(super) fn is_down(&self, down: bool) {
        self.conduct.lock().unwrap().down = down;
    }

    pub(super) fn times_discovered(&self) -> usize {
        self.conduct.lock().unwrap().discovered
    }

    /// The person signs in where the browser was sent to; this is the query they come back with.
    pub(super) fn visited(&self, sent_to: &str) -> String {
        let url = Url::parse(sent_to).unwrap();
        assert_eq!(url.path(), "/authorize", "{sent_to}");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let mut conduct = self.conduct.lock().unwrap();
        conduct.codes += 1;
        let code = format!("code-{}", conduct.codes);
        conduct.nonces.insert(code.clone(), asked["nonce"].clone());
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &code)
            .append_pair("state", &asked["state"])
            .finish()
    }

    pub(super) fn logout_token(&self, subject: &str, session: Option<&str>) -> String {
        let mut claims = self.claims("updraft", json!({"sub": subject}));
        claims["jti"] = json!("one");
        claims["sid"] = json!(session);
        claims["events"] = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        self.signed(&claims, "logout+jwt")
    }

    fn claims(&self, audience: &str, person: Value) -> Value {
        let now = Utc::now().timestamp();
        let mut claims = person;
        claims["iss"] = json!(self.url);
        claims["aud"] = json!(audience);
        claims["iat"] = json!(now);
        claims["exp"] = json!(now + 120);
        claims
    }

    fn signed(&self, claims: &Value, kind: &str) -> String {
        let header = Header {
            kid: Some("one".to_owned()),
            typ: Some(kind.to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

async fn document(State(idp): State<Idp>) -> Response {
    idp.conduct.lock().unwrap().discovered += 1;
    if idp.conduct.lock().unwrap().down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let url = &idp.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "end_session_endpoint": format!("{url}/logout"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
    }))
    .into_response()
}

async fn keys(State(idp): State<Idp>) -> Json<Value> {
    let jwk = Jwk::from_encoding_key(&idp.key, Algorithm::ES256).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["kid"] = json!("one");
    jwk["use"] = json!("sig");
    Json(json!({"keys": [jwk]}))
}

async fn token(State(idp): State<Idp>, Form(asked): Form<HashMap<String, String>>) -> Response {
    let (down, gone, person) = {
        let conduct = idp.conduct.lock().unwrap();
        (conduct.down, conduct.gone, conduct.person.clone())
    };
    if down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let known = asked
        .get("code")
        .and_then(|code| idp.conduct.lock().unwrap().nonces.remove(code));
    let refreshes = asked
        .get("grant_type")
        .is_some_and(|kind| kind == "refresh_token");
    if gone || (known.is_none() && !refreshes) {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    }
    let mut claims = idp.claims("updraft", person);
    if let Some(nonce) = known {
        claims["nonce"] = json!(nonce);
    }
    Json(json!({
        "access_token": "access", "token_type": "Bearer", "expires_in": 60,
        "refresh_token": "refresh", "id_token": idp.signed(&claims, "JWT"),
    }))
    .into_response()
}
