//! The whole way with the certified provider of `tests/e2e/idp`, its own pages included, but without a browser.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use chrono::TimeDelta;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use updraft_model::{OidcConfig, OidcPreset};
use updraft_sso::oidc::{Attempt, Callback, Oidc, Refreshed};
use updraft_sso::{Check, CheckOutcome, Refusal, VouchedIdentity};
use url::Url;

use crate::provider::{now, outbound, redirect_uri};

const SECRET: &str = "the client's secret";
const SIGNED_OUT: &str = "http://localhost:7700/signed-out";

/// A provider that runs, what it knows, and how it is set up here.
struct Certified {
    issuer: String,
    state_file: PathBuf,
    state: Value,
    logouts: mpsc::UnboundedReceiver<String>,
    oidc: Oidc,
    _process: Child,
    _directory: TempDir,
}

/// Cookies and redirects, and nothing else of a browser.
struct Browser {
    client: Client,
    cookies: HashMap<String, String>,
}

// === impl Certified ===

impl Certified {
    async fn start() -> Self {
        let (logout_uri, logouts) = hear_logouts().await;
        let directory = tempfile::tempdir().unwrap();
        let state_file = directory.path().join("state.json");
        let state = json!({
            "clients": [{
                "client_id": "updraft",
                "client_secret": SECRET,
                "redirect_uris": [redirect_uri()],
                "post_logout_redirect_uris": [SIGNED_OUT],
                "grant_types": ["authorization_code", "refresh_token"],
                "backchannel_logout_uri": logout_uri,
                "backchannel_logout_session_required": true,
            }],
            "users": {"ada": {
                "name": "Ada Lovelace",
                "email": "ada@example.com",
                "email_verified": true,
                "groups": ["data-platform", "everyone"],
            }},
        });
        std::fs::write(&state_file, state.to_string()).unwrap();
        let (process, issuer) = run_provider(&state_file).await;
        Self {
            oidc: Oidc::new(outbound(&[&issuer])),
            issuer,
            state_file,
            state,
            logouts,
            _process: process,
            _directory: directory,
        }
    }

    fn changes(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state);
        std::fs::write(&self.state_file, self.state.to_string()).unwrap();
    }

    fn config(&self) -> OidcConfig {
        OidcConfig {
            issuer: self.issuer.clone(),
            client_id: "updraft".to_owned(),
            preset: OidcPreset::Generic,
            scopes: vec!["groups".to_owned()],
            groups_claim: Some("groups".to_owned()),
            hosted_domains: Vec::new(),
        }
    }

    async fn sign_in(&self) -> Result<VouchedIdentity, Refusal> {
        let (attempt, callback) = self.visit(&mut Browser::new()).await;
        self.finish(&attempt, &callback).await
    }

    async fn visit(&self, browser: &mut Browser) -> (Attempt, Callback) {
        let begun = self
            .oidc
            .begin(&self.config(), &redirect_uri(), None, now())
            .await
            .unwrap();
        let back = browser.sign_in(begun.url).await;
        (begun.attempt, Callback::parse(back.query().unwrap()).unwrap())
    }

    async fn finish(&self, attempt: &Attempt, callback: &Callback) -> Result<VouchedIdentity, Refusal> {
        let secret = SECRET.into();
        self.oidc
            .finish(&self.config(), Some(&secret), attempt, callback, now())
            .await
    }

    async fn test(&self, secret: &str) -> Vec<Check> {
        let secret = secret.into();
        self.oidc
            .test(&self.config(), Some(&secret), &redirect_uri(), now())
            .await
    }

    async fn refresh(&self, token: &SecretString) -> Result<Refreshed, Refusal> {
        let secret = SECRET.into();
        self.oidc
            .refresh(&self.config(), Some(&secret), "ada", token, now())
            .await
    }
}

/// `node tests/e2e/idp/oidc-provider.mjs`, which ends with the test.
async fn run_provider(state: &std::path::Path) -> (Child, String) {
    let home = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/idp");
    assert!(
        home.join("node_modules").exists(),
        "run `npm ci` in tests/e2e/idp first"
    );
    let mut process = Command::new("node")
        .arg(home.join("oidc-provider.mjs"))
        .args(["--port", "0", "--state"])
        .arg(state)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("the provider starts");
    (process, line.strip_prefix("ready ").unwrap().to_owned())
}

/// Where the provider says who signed out.
async fn hear_logouts() -> (String, mpsc::UnboundedReceiver<String>) {
    let (heard, logouts) = mpsc::unbounded_channel();
    let hear = |State(heard): State<mpsc::UnboundedSender<String>>, body: String| async move {
        heard.send(body).unwrap();
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(hear).with_state(heard);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/logout"), logouts)
}

// === impl Browser ===

impl Browser {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy();
        Self {
            client: client.build().unwrap(),
            cookies: HashMap::new(),
        }
    }

    /// Through the sign-in page, if there is one, and back to us.
    async fn sign_in(&mut self, url: Url) -> Url {
        let first = self.client.get(url.clone());
        let (at, page) = self.go(url, first).await;
        let Some(page) = page else { return at };
        assert!(page.contains("name=\"login\""), "{page}");
        let form =
            self.client
                .post(at.clone())
                .form(&[("prompt", "login"), ("login", "ada"), ("password", "any")]);
        let (back, page) = self.go(at, form).await;
        assert_eq!(page, None, "back at our own address");
        back
    }

    /// Signs out at the provider, which asks whether that is meant.
    async fn sign_out(&mut self, url: Url) -> Url {
        let first = self.client.get(url.clone());
        let (at, page) = self.go(url, first).await;
        let page = page.expect("the provider asks first");
        let between = |after: &str| {
            page.split(after)
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .to_owned()
        };
        let action = at.join(&between("action=\"")).unwrap();
        let form = [
            ("xsrf", between("name=\"xsrf\" value=\"")),
            ("logout", "yes".to_owned()),
        ];
        let form = self.client.post(action.clone()).form(&form);
        self.go(action, form).await.0
    }

    /// Follows redirects until a page comes, or an address of ours.
    async fn go(&mut self, mut at: Url, mut request: RequestBuilder) -> (Url, Option<String>) {
        loop {
            let answer = self.send(request).await;
            let Some(next) = answer.headers().get(LOCATION) else {
                assert!(answer.status().is_success(), "{at}: {}", answer.status());
                return (at, Some(answer.text().await.unwrap()));
            };
            at = at.join(next.to_str().unwrap()).unwrap();
            if at.host_str() == Some("localhost") {
                return (at, None);
            }
            request = self.client.get(at.clone());
        }
    }

    async fn send(&mut self, request: RequestBuilder) -> Response {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let answer = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }
}

#[tokio::test]
async fn a_person_signs_in_and_changes_of_groups_are_noticed() {
    let mut provider = Certified::start().await;
    let identity = provider.sign_in().await.unwrap();
    assert_eq!(
        (identity.subject.as_str(), identity.email_verified),
        ("ada", true)
    );
    assert_eq!(identity.email.as_deref(), Some("ada@example.com"));
    assert_eq!(identity.groups, ["data-platform", "everyone"]);

    provider.changes(|state| state["users"]["ada"]["groups"] = json!(["everyone"]));
    let Refreshed::Vouched(again) = provider.refresh(&identity.refresh_token.unwrap()).await.unwrap() else {
        panic!("ada is still there");
    };
    assert_eq!(again.groups, ["everyone"]);

    provider.changes(|state| state["users"] = json!({}));
    let refreshed = provider.refresh(&again.refresh_token.unwrap()).await.unwrap();
    assert!(matches!(refreshed, Refreshed::Gone(refusal) if refusal.code == "oidc.person_gone"));
}

#[tokio::test]
async fn groups_come_from_userinfo_too() {
    let mut provider = Certified::start().await;
    provider.changes(|state| state["userinfo_only"] = json!(true));
    let identity = provider.sign_in().await.unwrap();
    assert_eq!(identity.groups, ["data-platform", "everyone"]);
    assert_eq!(identity.name.as_deref(), Some("Ada Lovelace"));
}

#[tokio::test]
async fn every_algorithm_of_the_provider_is_understood() {
    let mut provider = Certified::start().await;
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        provider.changes(|state| state["clients"][0]["id_token_signed_response_alg"] = json!(algorithm));
        let identity = provider
            .sign_in()
            .await
            .unwrap_or_else(|refusal| panic!("{algorithm}: {refusal:?}"));
        assert_eq!(identity.subject, "ada", "{algorithm}");
    }
}

#[tokio::test]
async fn a_code_is_good_once_and_for_one_sign_in() {
    let provider = Certified::start().await;
    let (attempt, callback) = provider.visit(&mut Browser::new()).await;
    let (other, _) = provider.visit(&mut Browser::new()).await;
    let mixed = Attempt {
        verifier: other.verifier,
        ..attempt.clone()
    };
    let refused = provider.finish(&mixed, &callback).await.unwrap_err();
    assert_eq!(refused.code, "oidc.code_refused", "PKCE");

    let (attempt, callback) = provider.visit(&mut Browser::new()).await;
    assert!(provider.finish(&attempt, &callback).await.is_ok(), "the control");
    let refused = provider.finish(&attempt, &callback).await.unwrap_err();
    assert_eq!(refused.code, "oidc.code_refused", "replay");
}

#[tokio::test]
async fn rotated_keys_are_found() {
    let mut provider = Certified::start().await;
    provider.sign_in().await.unwrap();
    provider.changes(|state| state["keys"] = json!(2));
    provider.sign_in().await.unwrap();
}

#[tokio::test]
async fn a_wrong_clock_is_said_to_be_wrong() {
    let mut provider = Certified::start().await;
    for (seconds, code) in [(90, "oidc.issued_in_future"), (-700, "oidc.expired")] {
        provider.changes(|state| state["skew_seconds"] = json!(seconds));
        assert_eq!(provider.sign_in().await.unwrap_err().code, code, "{seconds}");
        let checks = provider.test(SECRET).await;
        let clock = checks.iter().find(|check| check.name == "clock").unwrap();
        assert_eq!(clock.outcome, CheckOutcome::Bad, "{seconds}");
    }
    provider.changes(|state| state["skew_seconds"] = json!(30));
    provider.sign_in().await.unwrap();
}

#[tokio::test]
async fn a_provider_that_is_down_or_slow_is_said_to_be() {
    let mut provider = Certified::start().await;
    let (attempt, callback) = provider.visit(&mut Browser::new()).await;
    provider.changes(|state| state["down"] = json!(true));
    assert_eq!(
        provider.finish(&attempt, &callback).await.unwrap_err().code,
        "oidc.unexpected_answer"
    );
    provider.changes(|state| {
        state["down"] = json!(false);
        state["slow_ms"] = json!(60_000);
    });
    assert_eq!(
        provider.finish(&attempt, &callback).await.unwrap_err().code,
        "oidc.slow"
    );
    provider.changes(|state| state["slow_ms"] = json!(0));
    assert!(
        provider.finish(&attempt, &callback).await.is_ok(),
        "and is up again"
    );
}

#[tokio::test]
async fn the_connections_test_is_content_and_finds_a_wrong_secret() {
    let provider = Certified::start().await;
    let bad = |checks: Vec<Check>| {
        let bad = checks
            .into_iter()
            .filter(|check| check.outcome == CheckOutcome::Bad);
        bad.map(|check| check.name).collect::<Vec<_>>()
    };
    assert!(bad(provider.test(SECRET).await).is_empty());
    assert_eq!(bad(provider.test("another").await), ["client"]);
}

#[tokio::test]
async fn signing_out_ends_the_session_there_and_the_provider_says_so_here() {
    let mut provider = Certified::start().await;
    let mut browser = Browser::new();
    let (attempt, callback) = provider.visit(&mut browser).await;
    let identity = provider.finish(&attempt, &callback).await.unwrap();

    let back = Url::parse(SIGNED_OUT).unwrap();
    let config = provider.config();
    let id_token = identity.id_token.unwrap();
    let url = provider
        .oidc
        .logout_url(&config, Some(&id_token), &back, Some("s"))
        .await;
    let at = browser.sign_out(url.unwrap().unwrap()).await;
    assert_eq!(at.as_str(), "http://localhost:7700/signed-out?state=s");

    let heard = tokio::time::timeout(Duration::from_secs(10), provider.logouts.recv());
    let heard = heard.await.expect("the provider says so").unwrap();
    let token = heard.strip_prefix("logout_token=").unwrap();
    let logout = provider
        .oidc
        .verify_logout_token(&provider.config(), token, now())
        .await
        .unwrap();
    assert_eq!(logout.subject.as_deref(), Some("ada"));
    assert_eq!(logout.session, identity.provider_session);
    assert!(logout.expires_at - logout.issued_at <= TimeDelta::minutes(10));
    // Whoever holds an ID token cannot end sessions with it.
    let refused = provider
        .oidc
        .verify_logout_token(&provider.config(), id_token.expose_secret(), now())
        .await;
    assert_eq!(refused.unwrap_err().code, "oidc.logout_not_meant");
}
