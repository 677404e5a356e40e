//! A provider that does what a row says: honest unless told otherwise.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use http::{StatusCode, header};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use updraft_model::{OidcConfig, OidcPreset};
use updraft_sso::outbound::{Outbound, OutboundLimits, OutboundPolicy};
use url::Url;

use super::reply::Reply;
use super::tokens::{Key, Signing};

pub const DISCOVERY: &str = "/.well-known/openid-configuration";
pub const SECRET: &str = "the client's secret: äöü & more";
const CODE: &str = "a-code";
const ACCESS_TOKEN: &str = "an-access-token";

/// A running provider.
#[derive(Clone, Debug)]
pub struct Provider {
    pub url: String,
    conduct: Arc<Mutex<Conduct>>,
}

/// What it does.
#[derive(Debug)]
pub struct Conduct {
    /// Its own address, and that of another provider.
    pub url: String,
    pub other: String,
    pub document: Value,
    pub keys: Vec<Key>,
    /// Instead of what it would say, by path.
    pub instead: HashMap<&'static str, Reply>,
    pub signing: Signing,
    pub header: fn(&mut Value, &Conduct),
    pub claims: fn(&mut Value),
    /// Done to the finished token.
    pub spoil: fn(String) -> String,
    pub tokens: fn(&mut Value),
    pub userinfo: Value,
    pub groups: Value,
    /// Learned from the browser.
    nonce: String,
    challenge: String,
    /// What was asked, in order.
    pub asked: Vec<String>,
}

// === impl Provider ===

impl Provider {
    pub async fn start(other: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let conduct = Arc::new(Mutex::new(Conduct::honest(&url, other)));
        let router = Router::new().fallback(answer).with_state(conduct.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, conduct }
    }

    pub fn behaves(&self, change: impl FnOnce(&mut Conduct)) {
        change(&mut self.conduct.lock().unwrap());
    }

    /// The same provider, by a name of its own instead of its address.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        let named = self.url.replace("127.0.0.1", name);
        self.behaves(|conduct| {
            let document = conduct.document.to_string().replace(&conduct.url, &named);
            conduct.document = serde_json::from_str(&document).unwrap();
            conduct.url.clone_from(&named);
        });
        self.url = named;
        self
    }

    pub fn config(&self) -> OidcConfig {
        OidcConfig {
            issuer: self.url.clone(),
            client_id: "updraft".to_owned(),
            preset: OidcPreset::Generic,
            scopes: vec!["groups".to_owned()],
            groups_claim: Some("groups".to_owned()),
            hosted_domains: Vec::new(),
            link_scim_by: None,
        }
    }

    /// The person signs in; this is the query they are sent back with.
    pub fn visited(&self, url: &Url) -> HashMap<String, String> {
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut conduct = self.conduct.lock().unwrap();
        conduct.nonce.clone_from(&asked["nonce"]);
        conduct.challenge.clone_from(&asked["code_challenge"]);
        HashMap::from([
            ("code".to_owned(), CODE.to_owned()),
            ("state".to_owned(), asked["state"].clone()),
            ("iss".to_owned(), self.url.clone()),
        ])
    }

    pub fn times_asked(&self, path: &str) -> usize {
        let conduct = self.conduct.lock().unwrap();
        conduct.asked.iter().filter(|asked| *asked == path).count()
    }

    /// A token of this provider's, honest but for these changes.
    pub fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let conduct = self.conduct.lock().unwrap();
        let mut claims = json!({"iss": self.url, "aud": "updraft", "iat": now().timestamp()});
        change(&mut claims);
        conduct.signing.token(&conduct.signing.header(), &claims)
    }
}

// === impl Conduct ===

impl Conduct {
    fn honest(url: &str, other: &str) -> Self {
        let key = Key::new("first", Algorithm::ES256);
        Self {
            url: url.to_owned(),
            other: other.to_owned(),
            document: json!({
                "issuer": url,
                "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/token"),
                "jwks_uri": format!("{url}/keys"),
                "userinfo_endpoint": format!("{url}/userinfo"),
                "end_session_endpoint": format!("{url}/logout?tenant=7"),
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "scopes_supported": ["openid", "email", "profile", "groups", "offline_access"],
                "claims_supported": ["sub", "email", "groups"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
                "backchannel_logout_supported": true,
            }),
            keys: vec![key.clone()],
            instead: HashMap::new(),
            signing: Signing::With(key),
            header: |_, _| {},
            claims: |_| {},
            spoil: |token| token,
            tokens: |_| {},
            userinfo: json!({"sub": "ada", "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": true}),
            groups: json!(["data-platform", "everyone"]),
            nonce: String::new(),
            challenge: String::new(),
            asked: Vec::new(),
        }
    }

    fn answer(&mut self, path: &str, body: &str, authorization: Option<&str>) -> Response {
        self.asked.push(path.to_owned());
        if let Some(reply) = self.instead.get(path) {
            return reply.clone().into_response();
        }
        match path {
            DISCOVERY => json(200, &self.document),
            "/keys" => json(
                200,
                &json!({"keys": self.keys.iter().map(Key::public).collect::<Vec<_>>()}),
            ),
            "/token" => self.redeem(body, authorization),
            "/userinfo" if authorization == Some(&format!("Bearer {ACCESS_TOKEN}")) => {
                json(200, &self.userinfo)
            }
            _ => json(404, &json!({})),
        }
    }

    fn redeem(&self, body: &str, authorization: Option<&str>) -> Response {
        let form: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect();
        if authorization != Some(EXPECTED_BASIC) {
            return json(401, &json!({"error": "invalid_client"}));
        }
        let value = |name: &str| form.get(name).map_or("", String::as_str);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(value("code_verifier")));
        let good = match value("grant_type") {
            "authorization_code" => value("code") == CODE && challenge == self.challenge,
            "refresh_token" => value("refresh_token") == "a-refresh-token",
            _ => false,
        };
        if !good {
            return json(400, &json!({"error": "invalid_grant"}));
        }
        let mut tokens = json!({
            "access_token": ACCESS_TOKEN,
            "token_type": "Bearer",
            "refresh_token": "a-refresh-token",
            "id_token": self.id_token(),
        });
        (self.tokens)(&mut tokens);
        json(200, &tokens)
    }

    fn id_token(&self) -> String {
        let mut claims = json!({
            "iss": self.url,
            "sub": "ada",
            "aud": "updraft",
            "nonce": self.nonce,
            "iat": now().timestamp(),
            "exp": now().timestamp() + 300,
            "at_hash": half_hash(ACCESS_TOKEN),
            "sid": "session-1",
            "groups": self.groups,
        });
        (self.claims)(&mut claims);
        let mut header = self.signing.header();
        (self.header)(&mut header, self);
        (self.spoil)(self.signing.token(&header, &claims))
    }
}

/// The client id and [`SECRET`], each form-encoded (RFC 6749, section 2.3.1).
const EXPECTED_BASIC: &str =
    "Basic dXBkcmFmdDp0aGUlMjBjbGllbnQlMjdzJTIwc2VjcmV0JTNBJTIwJUMzJUE0JUMzJUI2JUMzJUJDJTIwJTI2JTIwbW9yZQ==";

async fn answer(State(conduct): State<Arc<Mutex<Conduct>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap();
    let authorization = head
        .headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap());
    let body = std::str::from_utf8(&body).unwrap();
    let mut conduct = conduct.lock().unwrap();
    conduct.answer(head.uri.path(), body, authorization)
}

/// A way out that reaches these providers and the public internet.
pub fn outbound(providers: &[&str]) -> Outbound {
    Outbound::new(OutboundPolicy {
        allow: providers
            .iter()
            .map(|url| {
                url.trim_start_matches("http://")
                    .trim_end_matches('/')
                    .parse()
                    .unwrap()
            })
            .collect(),
        limits: OutboundLimits {
            time: Duration::from_secs(2),
            ..OutboundLimits::default()
        },
    })
}

pub fn redirect_uri() -> Url {
    Url::parse("http://localhost:7700/sign-in/provider/callback").unwrap()
}

pub fn now() -> DateTime<Utc> {
    Utc::now()
}

fn half_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(token)[..16])
}

fn json(status: u16, value: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, axum::Json(value.clone())).into_response()
}
