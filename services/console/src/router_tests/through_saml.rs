//! Signing in through a SAML provider: what is decided after the protocol, with pysaml2 as the provider. What the protocol
//! refuses is tried in `services/sso/tests/saml`.

use std::path::PathBuf;
use std::process::Command;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, COOKIE, ORIGIN};
use axum::http::{Request, StatusCode};
use serde_json::json;
use updraft_api::audit::AuditOf;
use updraft_api::sign_in::{NewIdentityProvider, UpdateIdentityProvider};
use updraft_app::audit::AuditFilter;
use updraft_app::{Actor, PageRequest};
use updraft_model::{ProviderConfig, ProviderId};

use super::{Answered, HERE, House, answered, house};
use crate::fixtures::assert_accessible;

const IDP: &str = "https://idp.example.com";

/// An organisation whose people sign in through a SAML provider.
struct Stage {
    house: House,
    owner: Actor,
    provider: ProviderId,
    /// What the provider knows.
    directory: tempfile::TempDir,
}

/// Cookies.
#[derive(Default)]
struct Browser {
    cookies: Vec<(String, String)>,
}

// === impl Stage ===

impl Stage {
    async fn set() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let people = json!({"people": {"ada": {
            "password": "",
            "mail": "ada@acme.example",
            "displayName": "Ada of Acme",
            "groups": ["data-platform"],
        }}});
        std::fs::create_dir(directory.path().join("sp")).unwrap();
        std::fs::write(directory.path().join("settings.json"), people.to_string()).unwrap();
        let house = house().await;
        let owner = house.actor("ada@example.com").await;
        let mut stage = Self {
            house,
            owner,
            provider: ProviderId(uuid::Uuid::nil()),
            directory,
        };
        stage.provider = stage.connected().await;
        stage
    }

    async fn connected(&self) -> ProviderId {
        let new = NewIdentityProvider {
            id: None,
            name: "Acme".into(),
            config: None,
            metadata: Some(self.idp(&["metadata"])),
            secret: None,
        };
        let app = &self.house.app;
        let id = app.create_identity_provider(&self.owner, new).await.unwrap().id;
        let ours = self
            .house
            .get(None, &format!("/sign-in/saml/{id}/metadata"))
            .await;
        std::fs::write(self.directory.path().join("sp/updraft.xml"), ours.html).unwrap();
        let tested = app.test_identity_provider(&self.owner, id).await.unwrap();
        assert!(
            tested.last_test.as_ref().unwrap().passed,
            "{:?}",
            tested.last_test
        );
        app.enable_identity_provider(&self.owner, id).await.unwrap();
        id
    }

    /// The owner lets people begin at the provider.
    async fn may_begin_there(&self) {
        let app = &self.house.app;
        let view = app
            .show_identity_provider(&self.owner, self.provider)
            .await
            .unwrap();
        let ProviderConfig::Saml(mut config) = view.config else {
            panic!("SAML");
        };
        config.allow_idp_initiated = true;
        let update = UpdateIdentityProvider {
            name: None,
            config: Some(ProviderConfig::Saml(config)),
            metadata: None,
            secret: None,
        };
        app.update_identity_provider(&self.owner, self.provider, update)
            .await
            .unwrap();
    }

    fn idp(&self, words: &[&str]) -> String {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let said = Command::new(root.join(".tools/python/bin/python"))
            .args(["-W", "ignore"])
            .arg(root.join("tests/e2e/idp/saml_idp.py"))
            .arg("say")
            .arg(self.directory.path())
            .args(words)
            .output()
            .expect("the Python of `tests/run` runs");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    fn sp(&self) -> String {
        format!("{HERE}/sign-in/saml/{}/metadata", self.provider)
    }

    /// Off to the provider; the form with its answer.
    async fn answer(&self, browser: &mut Browser) -> String {
        let path = format!("/sign-in/through/{}?return_to=%2Fclusters", self.provider);
        let sent = browser.send(&self.house, Request::get(path), "").await;
        let to = sent.location.unwrap();
        assert!(to.starts_with(&format!("{IDP}/sso?SAMLRequest=")), "{to}");
        self.idp(&["answer", &to])
    }

    /// As the page of ours posts it on.
    async fn post(&self, browser: &mut Browser, form: &str) -> Answered {
        let path = format!("/sign-in/saml/{}/acs", self.provider);
        let request = Request::post(path).header(ORIGIN, HERE);
        browser
            .send(&self.house, request, &format!("{form}&reposted=yes"))
            .await
    }

    async fn refused(&self, answer: &Answered, reason: &str) {
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{reason}: {}", answer.html);
        assert_accessible(&answer.html);
        assert!(
            !answer
                .cookies
                .iter()
                .any(|cookie| cookie.starts_with("updraft_session=")),
            "{reason}"
        );
        let page = PageRequest {
            cursor: None,
            limit: Some(200),
        };
        let log = self
            .house
            .app
            .list_audit(&self.owner, AuditOf::Tenant, &AuditFilter::default(), page)
            .await
            .unwrap();
        let told = log
            .items
            .into_iter()
            .any(|line| line.reason.as_deref() == Some(reason));
        assert!(told, "{reason} is not in the audit log");
    }
}

// === impl Browser ===

impl Browser {
    async fn send(&mut self, house: &House, request: axum::http::request::Builder, form: &str) -> Answered {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = request
            .header(COOKIE, cookies.join("; "))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = answered(
            house
                .send(request.body(Body::from(form.to_owned())).unwrap())
                .await,
        )
        .await;
        for cookie in &answer.cookies {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        answer
    }

    fn session(&self) -> Option<&str> {
        let session = self.cookies.iter().find(|(name, _)| name == "updraft_session");
        session
            .map(|(_, token)| token.as_str())
            .filter(|token| !token.is_empty())
    }
}

#[tokio::test]
async fn a_person_comes_back_by_a_post_of_ours_and_lands_where_they_wanted() {
    let stage = Stage::set().await;
    let mut browser = Browser::default();
    let form = stage.answer(&mut browser).await;
    // The provider's page posts without our cookies.
    let path = format!("/sign-in/saml/{}/acs", stage.provider);
    let theirs = Request::post(path).header(ORIGIN, IDP);
    let page = Browser::default().send(&stage.house, theirs, &form).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.html);
    assert!(page.html.contains("name=\"reposted\""), "{}", page.html);

    let done = stage.post(&mut browser, &form).await;
    assert_eq!(done.location.as_deref(), Some("/clusters"), "{}", done.html);
    let actor = stage
        .house
        .app
        .authenticate(browser.session().unwrap())
        .await
        .unwrap();
    let me = stage.house.app.me(&actor).await.unwrap();
    assert_eq!(
        (me.email.as_str(), me.name.as_str()),
        ("ada@acme.example", "Ada of Acme")
    );
    assert_ne!(me.user, stage.owner.user);
}

#[tokio::test]
async fn an_answer_is_good_once_and_in_the_browser_that_asked() {
    let stage = Stage::set().await;
    let mut browser = Browser::default();
    let form = stage.answer(&mut browser).await;
    let other = stage.post(&mut Browser::default(), &form).await;
    stage.refused(&other, "sign_in.other_browser").await;

    let form = stage.answer(&mut browser).await;
    let tampered = form.replacen("PD94", "PD95", 1);
    let answer = stage.post(&mut browser, &tampered).await;
    stage.refused(&answer, "saml.processing_instruction").await;

    let form = stage.answer(&mut browser).await;
    assert_eq!(
        stage.post(&mut browser, &form).await.location.as_deref(),
        Some("/clusters")
    );
    let again = stage.post(&mut browser, &form).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN, "{}", again.html);
}

#[tokio::test]
async fn an_answer_nobody_asked_for_is_good_once_and_where_it_is_allowed() {
    let stage = Stage::set().await;
    let form = stage.idp(&["start", &stage.sp()]);
    let early = stage.post(&mut Browser::default(), &form).await;
    stage.refused(&early, "saml.unsolicited").await;

    stage.may_begin_there().await;
    let mut browser = Browser::default();
    let done = stage.post(&mut browser, &form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.html);
    assert!(browser.session().is_some());
    let again = stage.post(&mut Browser::default(), &form).await;
    stage.refused(&again, "saml.replay").await;
}

/// As a form field.
fn with_relay_state(form: &str, state: &str) -> String {
    let (response, _) = form.split_once("&RelayState=").unwrap();
    let state: String = url::form_urlencoded::byte_serialize(state.as_bytes()).collect();
    format!("{response}&RelayState={state}")
}

#[tokio::test]
async fn a_provider_that_begins_may_send_a_relay_state_of_its_own_and_it_leads_to_no_other_site() {
    let stage = Stage::set().await;
    stage.may_begin_there().await;
    for (state, lands) in [
        ("https://portal.example.com/home", "/clusters"),
        ("/clusters/7?tab=logs", "/clusters/7?tab=logs"),
        ("//evil.example", "/clusters"),
        ("javascript:alert(1)", "/clusters"),
    ] {
        let form = with_relay_state(&stage.idp(&["start", &stage.sp()]), state);
        let mut browser = Browser::default();
        let done = stage.post(&mut browser, &form).await;
        assert_eq!(done.location.as_deref(), Some(lands), "{state}: {}", done.html);
        assert!(browser.session().is_some(), "{state}");
    }
}

#[tokio::test]
async fn a_relay_state_of_somebody_elses_is_no_way_around_what_is_checked() {
    let stage = Stage::set().await;
    let default = "https://portal.example.com/home";
    let begun_there = with_relay_state(&stage.idp(&["start", &stage.sp()]), default);
    let early = stage.post(&mut Browser::default(), &begun_there).await;
    stage.refused(&early, "sign_in.unknown_state").await;

    stage.may_begin_there().await;
    let mut browser = Browser::default();
    let answer = stage.answer(&mut browser).await;
    let robbed = with_relay_state(&answer, default);
    let refused = stage.post(&mut browser, &robbed).await;
    stage.refused(&refused, "sign_in.unknown_state").await;

    let tampered = begun_there.replacen("PD94", "PD95", 1);
    let refused = stage.post(&mut Browser::default(), &tampered).await;
    stage.refused(&refused, "saml.processing_instruction").await;

    // Those of our own states that are no good stay no good.
    let (_, ours) = answer.split_once("&RelayState=").unwrap();
    let planted = with_relay_state(&begun_there, ours);
    let refused = stage.post(&mut Browser::default(), &planted).await;
    stage.refused(&refused, "sign_in.other_browser").await;
    let refused = stage.post(&mut browser, &planted).await;
    stage.refused(&refused, "sign_in.replayed").await;

    let done = stage.post(&mut Browser::default(), &begun_there).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "control: {}", done.html);
    let again = with_relay_state(&begun_there, "another");
    let refused = stage.post(&mut Browser::default(), &again).await;
    stage.refused(&refused, "saml.replay").await;
}

#[tokio::test]
async fn a_logout_there_ends_it_here_and_is_answered() {
    let stage = Stage::set().await;
    let mut browser = Browser::default();
    let form = stage.answer(&mut browser).await;
    stage.post(&mut browser, &form).await;
    let session = browser.session().unwrap().to_owned();
    let query = stage.idp(&["logout", &stage.sp()]);

    let path = format!("/sign-in/saml/{}/logout", stage.provider);
    let forged = query.replacen("Signature=", "Signature=AAAA", 1);
    let refused = stage.house.get(None, &format!("{path}?{forged}")).await;
    stage.refused(&refused, "saml.wrong_signature").await;
    assert!(stage.house.app.authenticate(&session).await.is_ok());

    let answer = stage.house.get(None, &format!("{path}?{query}")).await;
    let to = answer.location.unwrap();
    assert!(to.starts_with(&format!("{IDP}/slo?SAMLResponse=")), "{to}");
    assert!(stage.house.app.authenticate(&session).await.is_err());
}
