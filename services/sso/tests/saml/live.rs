//! The whole way with running providers, their own pages included, but without a browser: pysaml2 over xmlsec1, and
//! SimpleSAMLphp. Both check what we sign.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use chrono::Utc;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, redirect};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use updraft_model::SamlConfig;
use updraft_sso::CheckOutcome;
use updraft_sso::saml::{
    Begun, LogoutMessage, LogoutSubject, ServiceProvider, begin, finish, logout_request, logout_response,
    metadata, read_metadata, test, verify_logout,
};
use url::Url;

use crate::fixture::{Finished, Situation};

const US: &str = "updraft.example.com";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pysaml2,
    SimpleSamlPhp,
}

/// A provider that runs, what it knows, and what it knows of us.
struct Live {
    kind: Kind,
    base: String,
    directory: TempDir,
    settings: Value,
    sp: ServiceProvider,
    _process: Child,
}

/// Cookies and redirects, and nothing else of a browser.
struct Browser {
    client: Client,
    cookies: HashMap<String, String>,
}

// === impl Live ===

impl Live {
    async fn start(kind: Kind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sp = Situation::new().sp;
        std::fs::create_dir(directory.path().join("sp")).unwrap();
        std::fs::write(directory.path().join("sp/updraft.xml"), metadata(&sp)).unwrap();
        let (process, base) = run_provider(kind, directory.path()).await;
        let mut live = Self {
            kind,
            base,
            directory,
            settings: json!({}),
            sp,
            _process: process,
        };
        live.changes(&json!({"people": {"ada": {
            "password": "secret",
            "mail": "ada@example.com",
            "displayName": "Ada Lovelace",
            "groups": ["data-platform", "everyone"],
        }}}));
        live
    }

    fn changes(&mut self, settings: &Value) {
        for (name, value) in settings.as_object().unwrap() {
            self.settings[name] = value.clone();
        }
        std::fs::write(
            self.directory.path().join("settings.json"),
            self.settings.to_string(),
        )
        .unwrap();
    }

    async fn config(&self) -> SamlConfig {
        let path = match self.kind {
            Kind::Pysaml2 => "/metadata",
            Kind::SimpleSamlPhp => "/saml2/idp/metadata.php?output=xml",
        };
        let text = Browser::new().page(&format!("{}{path}", self.base)).await;
        read_metadata(&text).unwrap()
    }

    async fn begin(&self) -> Begun {
        begin(&self.config().await, &self.sp, "state-1", Utc::now()).unwrap()
    }

    async fn sign_in(&self, browser: &mut Browser) -> Finished {
        let begun = self.begin().await;
        let (form, relay_state) = browser.sign_in(&begun.url).await;
        assert_eq!(relay_state.as_deref(), Some("state-1"));
        finish(
            &self.config().await,
            &self.sp,
            &form,
            Some(&begun.attempt),
            Utc::now(),
        )
    }

    async fn listen(&self, at: &Url) -> LogoutMessage {
        verify_logout(&self.config().await, &self.sp, at.query().unwrap(), Utc::now()).unwrap()
    }
}

async fn run_provider(kind: Kind, directory: &std::path::Path) -> (Child, String) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let script = match kind {
        Kind::Pysaml2 => "saml_idp.py",
        Kind::SimpleSamlPhp => "simplesaml_idp.py",
    };
    let mut process = Command::new(root.join(".tools/python/bin/python"))
        .args(["-W", "ignore"])
        .arg(root.join("tests/e2e/idp").join(script))
        .arg("serve")
        .arg(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the Python of `tests/run` runs");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let base = lines.next_line().await.unwrap().expect("the provider starts");
    let address = base.strip_prefix("http://").unwrap();
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return (process, base);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the provider does not listen");
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

    async fn page(&mut self, url: &str) -> String {
        let request = self.client.get(url);
        self.go(Url::parse(url).unwrap(), request).await.1.unwrap()
    }

    /// Through the provider's sign-in form; what it has the browser post to us: response and relay state.
    async fn sign_in(&mut self, url: &str) -> (String, Option<String>) {
        let request = self.client.get(url);
        let (at, page) = self.go(Url::parse(url).unwrap(), request).await;
        let page = page.unwrap();
        let mut form = hidden(&page);
        let name = if page.contains("name=\"username\"") {
            "username"
        } else {
            "user"
        };
        form.insert(name.to_owned(), "ada".to_owned());
        form.insert("password".to_owned(), "secret".to_owned());
        let to = page.split("<form").find_map(|part| attribute(part, "action"));
        let to = at.join(to.as_deref().unwrap_or("?")).unwrap();
        let request = self.client.post(to.clone()).form(&form);
        let answer = hidden(&self.go(to, request).await.1.unwrap());
        (answer["SAMLResponse"].clone(), answer.get("RelayState").cloned())
    }

    /// Where it leads at us.
    async fn follow(&mut self, url: &str) -> Url {
        let request = self.client.get(url);
        let (at, page) = self.go(Url::parse(url).unwrap(), request).await;
        assert_eq!(page, None, "back at our own address");
        at
    }

    async fn go(&mut self, mut at: Url, mut request: RequestBuilder) -> (Url, Option<String>) {
        loop {
            let answer = self.send(request).await;
            let Some(next) = answer.headers().get(LOCATION) else {
                assert!(answer.status().is_success(), "{at}: {}", answer.status());
                return (at, Some(answer.text().await.unwrap()));
            };
            at = at.join(next.to_str().unwrap()).unwrap();
            if at.host_str() == Some(US) {
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

/// Hidden fields of a page's forms.
fn hidden(page: &str) -> HashMap<String, String> {
    page.split("<input")
        .skip(1)
        .filter(|part| part.contains("type=\"hidden\""))
        .filter_map(|part| Some((attribute(part, "name")?, attribute(part, "value")?)))
        .collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
    Some(
        value
            .replace("&quot;", "\"")
            .replace("&#x27;", "'")
            .replace("&amp;", "&"),
    )
}

async fn the_whole_way(kind: Kind) {
    let mut live = Live::start(kind).await;
    let checks = test(&live.config().await, &live.sp, Utc::now());
    assert!(
        checks.iter().all(|check| check.outcome != CheckOutcome::Bad),
        "{checks:?}"
    );

    let mut browser = Browser::new();
    let (identity, _) = live.sign_in(&mut browser).await.unwrap();
    assert_eq!(identity.subject, "ada");
    assert_eq!(identity.email.as_deref(), Some("ada@example.com"));
    assert_eq!(identity.name.as_deref(), Some("Ada Lovelace"));
    assert_eq!(identity.groups, ["data-platform", "everyone"]);

    let subject = LogoutSubject {
        subject: identity.subject,
        name_id: identity.id_token,
        provider_session: identity.provider_session,
    };
    let asked = logout_request(&live.config().await, &live.sp, &subject, "out", Utc::now())
        .unwrap()
        .unwrap();
    let back = browser.follow(&asked.url).await;
    let LogoutMessage::Response {
        in_response_to,
        success,
        relay_state,
    } = live.listen(&back).await
    else {
        panic!("an answer");
    };
    assert_eq!(
        (in_response_to, success, relay_state.as_deref()),
        (asked.request_id, true, Some("out"))
    );

    live.changes(&json!({"encrypt": "aes256-gcm"}));
    assert!(live.sign_in(&mut Browser::new()).await.is_ok());
    live.changes(&json!({"encrypt": "aes256-cbc", "sign_response": false}));
    let refused = live.sign_in(&mut Browser::new()).await.unwrap_err();
    assert_eq!(refused.code, "saml.encryption_algorithm");
}

async fn a_roll_over(kind: Kind) {
    let mut live = Live::start(kind).await;
    let old = live.config().await;
    live.changes(&json!({"key": "second", "published_keys": ["second"]}));
    let begun = live.begin().await;
    let (form, _) = Browser::new().sign_in(&begun.url).await;
    let mut known = old;
    let believed = |config: &SamlConfig| finish(config, &live.sp, &form, Some(&begun.attempt), Utc::now());
    assert_eq!(believed(&known).unwrap_err().code, "saml.wrong_signature");
    known.certificates.extend(live.config().await.certificates);
    assert!(believed(&known).is_ok());
}

/// The provider believes nobody who only calls themselves us: so what it took before, it took for our signature.
async fn it_checks_what_we_sign(kind: Kind) {
    let live = Live::start(kind).await;
    let url = live.begin().await.url;
    let (signed, _) = url.split_once("&Signature=").unwrap();
    let forged = base64::engine::general_purpose::STANDARD.encode([7; 256]);
    let mut browser = Browser::new();
    let forged = browser
        .client
        .get(Url::parse_with_params(&format!("{signed}&"), [("Signature", forged)]).unwrap());
    let answer = browser.send(forged).await;
    // SimpleSAMLphp redirects to its sign-in page.
    let asks_who_it_is =
        answer.headers().contains_key(LOCATION) || answer.text().await.unwrap().contains("password");
    assert!(!asks_who_it_is);
}

#[tokio::test]
async fn the_whole_way_with_pysaml2() {
    the_whole_way(Kind::Pysaml2).await;
}

#[tokio::test]
async fn the_whole_way_with_simplesamlphp() {
    the_whole_way(Kind::SimpleSamlPhp).await;
}

#[tokio::test]
async fn a_roll_over_of_keys_needs_the_new_certificate_and_no_pause() {
    a_roll_over(Kind::Pysaml2).await;
    a_roll_over(Kind::SimpleSamlPhp).await;
}

#[tokio::test]
async fn both_providers_check_what_we_sign() {
    it_checks_what_we_sign(Kind::Pysaml2).await;
    it_checks_what_we_sign(Kind::SimpleSamlPhp).await;
}

#[tokio::test]
async fn a_provider_that_signs_people_out_gets_its_answer() {
    let live = Live::start(Kind::Pysaml2).await;
    live.sign_in(&mut Browser::new()).await.unwrap();
    let mut browser = Browser::new();
    let asked = browser.follow(&format!("{}/logout?user=ada", live.base)).await;
    let LogoutMessage::Request(request) = live.listen(&asked).await else {
        panic!("a request");
    };
    assert_eq!(request.subject, "ada");
    let answer = logout_response(&live.config().await, &live.sp, &request, Utc::now())
        .unwrap()
        .unwrap();
    assert!(browser.page(&answer).await.contains("Signed out"));
}
