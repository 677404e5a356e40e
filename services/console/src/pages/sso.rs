//! How people of the organisation sign in: identity providers, domains, rules. For owners only.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::sign_in::{
    DomainView, IdentityProviderView, NewDomain, SignInRules, UpdateDomain, UpdateSignInRules,
};
use updraft_model::{ProviderConfig, ProviderId};

use crate::error::Complaint;
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::text::Moment;
use crate::tone::{Pill, Tone};

#[derive(Template)]
#[template(path = "pages/sso.html")]
pub(crate) struct SsoPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    providers: Vec<ProviderRow>,
    domains: Vec<DomainRow>,
    rules: SignInRules,
    /// Where people of this organisation may always sign in.
    tenant_url: String,
    /// Where a directory reports to.
    scim_url: String,
}

struct ProviderRow {
    id: ProviderId,
    name: String,
    kind: &'static str,
    state: Pill,
}

struct DomainRow {
    domain: DomainView,
    state: Pill,
    seen: Option<Moment>,
}

/// What the page shows.
pub(crate) struct Setup {
    pub(crate) providers: Vec<IdentityProviderView>,
    pub(crate) domains: Vec<DomainView>,
    pub(crate) rules: SignInRules,
    pub(crate) tenant_url: String,
    pub(crate) scim_url: String,
}

/// Session lengths that are offered, in seconds.
const LENGTHS: [(u32, &str); 6] = [
    (0, "the installation's limit"),
    (3_600, "1 hour"),
    (14_400, "4 hours"),
    (28_800, "8 hours"),
    (86_400, "1 day"),
    (604_800, "7 days"),
];

// === impl SsoPage ===

impl SsoPage {
    pub(crate) fn new(frame: Frame, setup: Setup, complaint: Option<Complaint>, now: DateTime<Utc>) -> Self {
        let domain = |domain: DomainView| DomainRow {
            state: match domain.verified_at {
                Some(_) => Pill::new(Tone::Good, "Proven"),
                None => Pill::new(Tone::Warn, "Not proven"),
            },
            seen: domain.verified_at.map(|at| Moment::new(at, now)),
            domain,
        };
        Self {
            frame: frame.on(Here::People),
            complaint,
            providers: setup.providers.into_iter().map(ProviderRow::new).collect(),
            domains: setup.domains.into_iter().map(domain).collect(),
            rules: setup.rules,
            tenant_url: setup.tenant_url,
            scim_url: setup.scim_url,
        }
    }

    fn lengths(&self) -> Vec<(u32, String, bool)> {
        let now = self.rules.session_seconds.unwrap_or(0);
        let mut all: Vec<_> = LENGTHS
            .iter()
            .map(|(seconds, words)| (*seconds, (*words).to_owned(), *seconds == now))
            .collect();
        if !all.iter().any(|(.., chosen)| *chosen) {
            all.push((now, format!("{now} seconds"), true));
        }
        all
    }
}

// === impl DomainRow ===

impl DomainRow {
    fn goes_to(&self, provider: &ProviderId) -> bool {
        self.domain.provider.as_ref() == Some(provider)
    }
}

// === impl ProviderRow ===

impl ProviderRow {
    fn new(view: IdentityProviderView) -> Self {
        Self {
            id: view.id,
            kind: match view.config {
                ProviderConfig::Oidc(_) => "OpenID Connect",
                ProviderConfig::Saml(_) => "SAML 2.0",
            },
            state: state(&view),
            name: view.name,
        }
    }
}

/// Whether it signs people in, and what is missing.
pub(crate) fn state(view: &IdentityProviderView) -> Pill {
    let test = view
        .last_test
        .as_ref()
        .filter(|test| test.version == view.version);
    match (view.enabled, test.map(|test| test.passed)) {
        (true, _) => Pill::new(Tone::Good, "Enabled"),
        (false, Some(true)) => Pill::new(Tone::Quiet, "Disabled"),
        (false, Some(false)) => Pill::new(Tone::Bad, "Test failed"),
        (false, None) => Pill::new(Tone::Warn, "Not tested"),
    }
}

// === handlers ===

#[derive(Deserialize)]
pub(crate) struct DomainForm {
    domain: String,
    #[serde(default)]
    provider: String,
}

#[derive(Deserialize)]
pub(crate) struct ProviderChoice {
    #[serde(default)]
    provider: String,
}

#[derive(Deserialize)]
pub(crate) struct RulesForm {
    /// A checkbox: absent when it is not ticked.
    password_sign_in: Option<String>,
    session_seconds: u32,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit) -> Answer {
    draw(&console, &visit, None).await
}

pub(crate) async fn add_domain(
    State(console): State<Console>,
    visit: Visit,
    Sent(form): Sent<DomainForm>,
) -> Answer {
    let new = NewDomain {
        domain: form.domain,
        provider: chosen(&form.provider)?,
    };
    let added = console.app.add_domain(&visit.actor, new).await;
    back(&console, &visit, added.map(|_| ())).await
}

pub(crate) async fn check_domain(
    State(console): State<Console>,
    visit: Visit,
    At(domain): At<String>,
) -> Answer {
    let checked = console.app.check_domain(&visit.actor, &domain).await;
    back(&console, &visit, checked.map(|_| ())).await
}

pub(crate) async fn send_domain(
    State(console): State<Console>,
    visit: Visit,
    At(domain): At<String>,
    Sent(choice): Sent<ProviderChoice>,
) -> Answer {
    let update = UpdateDomain {
        provider: chosen(&choice.provider)?,
    };
    let updated = console.app.update_domain(&visit.actor, &domain, update).await;
    back(&console, &visit, updated.map(|_| ())).await
}

pub(crate) async fn remove_domain(
    State(console): State<Console>,
    visit: Visit,
    At(domain): At<String>,
) -> Answer {
    let removed = console.app.remove_domain(&visit.actor, &domain).await;
    back(&console, &visit, removed).await
}

pub(crate) async fn change_rules(
    State(console): State<Console>,
    visit: Visit,
    Sent(form): Sent<RulesForm>,
) -> Answer {
    let update = UpdateSignInRules {
        password_sign_in: Some(form.password_sign_in.is_some()),
        session_seconds: Some(form.session_seconds),
    };
    let updated = console.app.update_sign_in_rules(&visit.actor, update).await;
    back(&console, &visit, updated.map(|_| ())).await
}

async fn back(console: &Console, visit: &Visit, done: Result<(), updraft_app::AppError>) -> Answer {
    match done.map_err(Refusal::from) {
        Ok(()) => Ok(Redirect::to("/sso").into_response()),
        Err(failure) if failure.correctable() => draw(console, visit, Some(failure)).await,
        Err(failure) => Err(failure),
    }
}

async fn draw(console: &Console, visit: &Visit, failure: Option<Refusal>) -> Answer {
    let path = url::form_urlencoded::byte_serialize(visit.me.tenant_name.as_bytes()).collect::<String>();
    let setup = Setup {
        providers: console.app.list_identity_providers(&visit.actor).await?.items,
        domains: console.app.list_domains(&visit.actor).await?.items,
        rules: console.app.sign_in_rules(&visit.actor).await?,
        scim_url: format!("{}scim/v2", console.config.console_url),
        tenant_url: console
            .config
            .console_url
            .join(&format!("/sign-in/{}", path.replace('+', "%20")))
            .map(String::from)
            .unwrap_or_default(),
    };
    let complaint = failure.as_ref().map(Refusal::complaint);
    let page = SsoPage::new(visit.frame(), setup, complaint, Utc::now());
    let status = failure.map_or(axum::http::StatusCode::OK, |failure| failure.status());
    Ok((status, Html(page.render()?)).into_response())
}

/// An empty choice is none.
fn chosen(text: &str) -> Result<Option<ProviderId>, Refusal> {
    match text {
        "" => Ok(None),
        id => id.parse().map(Some).map_err(|_| Refusal::NoPage),
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::{Setup, SsoPage};
    use crate::{fixtures, fixtures_sign_in};

    #[test]
    fn the_record_to_make_is_shown_with_its_domain() {
        let setup = Setup {
            providers: vec![fixtures_sign_in::provider("Acme")],
            domains: vec![fixtures_sign_in::domain("example.com", false)],
            rules: fixtures_sign_in::sign_in_rules(),
            tenant_url: "http://localhost:7700/sign-in/Acme".into(),
            scim_url: "http://localhost:7700/scim/v2".into(),
        };
        let html = SsoPage::new(fixtures::frame(), setup, None, fixtures::now())
            .render()
            .unwrap();
        fixtures::assert_accessible(&html);
        for part in [
            "_updraft-challenge.example.com",
            "updraft-domain=abc",
            "Not proven",
            "Check now",
            "Acme",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
