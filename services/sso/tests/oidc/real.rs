//! The real providers of `tests/e2e/idp`, running, and what is needed of a browser to sign in on their own pages.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use axum::Router;
use axum::extract::State;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, redirect};
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use updraft_hostile::oidc::{now, outbound, redirect_uri};
use updraft_model::{OidcConfig, OidcPreset};
use updraft_sso::oidc::{Attempt, Callback, Oidc, Refreshed};
use updraft_sso::{Check, Refusal, VouchedIdentity};
use url::Url;

pub(crate) const SECRET: &str = "the client's secret";
pub(crate) const SIGNED_OUT: &str = "http://localhost:7700/signed-out";

/// A provider that runs, what it knows, and how it is set up here.
pub(crate) struct Real {
    pub(crate) issuer: String,
    state_file: PathBuf,
    state: Value,
    pub(crate) logouts: mpsc::UnboundedReceiver<String>,
    pub(crate) oidc: Oidc,
    _process: Child,
    _directory: TempDir,
}

/// Cookies, redirects and forms, and nothing else of a browser.
pub(crate) struct Browser {
    client: Client,
    cookies: HashMap<String, String>,
}

// === impl Real ===

impl Real {
    /// `oidc-provider`, the certified one.
    pub(crate) async fn certified() -> Self {
        let modules = home().join("node_modules");
        assert!(modules.exists(), "run `npm ci` in tests/e2e/idp first");
        let mut command = Command::new("node");
        command.arg(home().join("oidc-provider.mjs"));
        Self::start(command).await
    }

    /// Canaille, written by others in another language.
    pub(crate) async fn canaille() -> Self {
        let python = home().join("../../../.tools/python/bin/python");
        assert!(python.exists(), "run `tests/run --only unit`, which sets it up");
        let mut command = Command::new(python);
        command.arg(home().join("canaille_idp.py"));
        Self::start(command).await
    }

    async fn start(command: Command) -> Self {
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
        let (process, issuer) = run(command, &state_file).await;
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

    pub(crate) fn changes(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state);
        std::fs::write(&self.state_file, self.state.to_string()).unwrap();
    }

    pub(crate) fn config(&self) -> OidcConfig {
        OidcConfig {
            issuer: self.issuer.clone(),
            client_id: "updraft".to_owned(),
            preset: OidcPreset::Generic,
            scopes: vec!["groups".to_owned()],
            groups_claim: Some("groups".to_owned()),
            hosted_domains: Vec::new(),
            link_scim_by: None,
        }
    }

    pub(crate) async fn sign_in(&self) -> Result<VouchedIdentity, Refusal> {
        let (attempt, callback) = self.visit(&mut Browser::new()).await;
        self.finish(&attempt, &callback).await
    }

    pub(crate) async fn visit(&self, browser: &mut Browser) -> (Attempt, Callback) {
        let begun = self
            .oidc
            .begin(&self.config(), &redirect_uri(), None, now())
            .await
            .unwrap();
        let back = browser.sign_in(begun.url).await;
        (begun.attempt, Callback::parse(back.query().unwrap()).unwrap())
    }

    pub(crate) async fn finish(
        &self,
        attempt: &Attempt,
        callback: &Callback,
    ) -> Result<VouchedIdentity, Refusal> {
        let secret = SECRET.into();
        self.oidc
            .finish(&self.config(), Some(&secret), attempt, callback, now())
            .await
    }

    pub(crate) async fn test(&self, secret: &str) -> Vec<Check> {
        let secret = secret.into();
        self.oidc
            .test(&self.config(), Some(&secret), &redirect_uri(), now())
            .await
    }

    pub(crate) async fn refresh(&self, token: &SecretString) -> Result<Refreshed, Refusal> {
        let secret = SECRET.into();
        self.oidc
            .refresh(&self.config(), Some(&secret), "ada", token, now())
            .await
    }
}

fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/idp")
}

/// Until the test ends.
async fn run(mut command: Command, state: &Path) -> (Child, String) {
    let mut process = command
        .args(["--port", "0", "--state"])
        .arg(state)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the provider can be run");
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
    pub(crate) fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy();
        Self {
            client: client.build().unwrap(),
            cookies: HashMap::new(),
        }
    }

    /// Through the provider's pages, if there are any, and back to us.
    async fn sign_in(&mut self, url: Url) -> Url {
        let first = self.client.get(url.clone());
        let (mut at, mut page) = self.go(url, first).await;
        while let Some(form) = page {
            let filled = self.client.post(at.clone()).form(&fill(&form));
            (at, page) = self.go(at, filled).await;
        }
        at
    }

    /// Signs out at the provider, which asks whether that is meant.
    pub(crate) async fn sign_out(&mut self, url: Url) -> Url {
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

/// Ada's name, then her password; or both, where both are asked for.
fn fill(page: &str) -> Vec<(&'static str, String)> {
    let asks = |name: &str| page.contains(&format!("name=\"{name}\""));
    assert!(asks("login") || asks("password"), "{page}");
    let csrf = page.split("name=\"csrf_token\" type=\"hidden\" value=\"").nth(1);
    let csrf = csrf.or_else(|| page.split("name=\"csrf_token\" value=\"").nth(1));
    let csrf = csrf.map(|rest| rest.split('"').next().unwrap_or_default().to_owned());
    let mut fields = vec![
        ("prompt", "login".to_owned()),
        ("login", "ada".to_owned()),
        ("password", "canaille password".to_owned()),
    ];
    fields.extend(csrf.map(|csrf| ("csrf_token", csrf)));
    fields
}
