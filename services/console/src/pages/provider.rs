//! One identity provider: its test, its addresses, its configuration.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::sign_in::{
    IdentityProviderView, ProviderAddresses, ProviderCheck, ProviderCheckOutcome, ProviderTest,
    UpdateIdentityProvider,
};
use updraft_app::{AppError, BeginSignIn};
use updraft_model::{ProviderConfig, ProviderId};

use crate::attempt;
use crate::error::Complaint;
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::pages::provider_form::{Preset, ProviderForm};
use crate::pages::{sso, through_provider};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::text::Moment;
use crate::tone::Pill;

#[derive(Template)]
#[template(path = "pages/provider.html")]
pub(crate) struct ProviderPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    view: IdentityProviderView,
    state: Pill,
    tested: Option<Moment>,
    /// The test is of what is configured now.
    current: bool,
    preset: Preset,
    form: ProviderForm,
    addresses: Addresses,
    known: bool,
}

/// What to copy into the provider's forms.
#[derive(Template)]
#[template(path = "pages/provider_addresses.html")]
pub(crate) struct Addresses {
    lines: Vec<(&'static str, String)>,
}

impl HtmlSafe for Addresses {}

// === impl ProviderPage ===

impl ProviderPage {
    pub(crate) fn new(
        frame: Frame,
        view: IdentityProviderView,
        form: Option<ProviderForm>,
        complaint: Option<Complaint>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            frame: frame.on(Here::People),
            complaint,
            state: sso::state(&view),
            tested: view.last_test.as_ref().map(|test| Moment::new(test.at, now)),
            current: view
                .last_test
                .as_ref()
                .is_some_and(|test| test.version == view.version),
            preset: Preset::of(&view.config),
            form: form.unwrap_or_else(|| ProviderForm::of(&view.name, &view.config)),
            addresses: Addresses::new(view.addresses.clone()),
            view,
            known: true,
        }
    }

    fn checks<'a>(&self, test: &'a ProviderTest) -> Vec<(&'static str, &'static str, &'a ProviderCheck)> {
        let look = |check: &ProviderCheck| match check.outcome {
            ProviderCheckOutcome::Good => ("good", "check"),
            ProviderCheckOutcome::Warning => ("warn", "warn"),
            ProviderCheckOutcome::Bad => ("bad", "cross"),
        };
        let line = |check| {
            let (tone, icon) = look(check);
            (tone, icon, check)
        };
        test.checks.iter().map(line).collect()
    }
}

// === impl Addresses ===

impl Addresses {
    pub(crate) fn new(addresses: ProviderAddresses) -> Self {
        let lines = match addresses {
            ProviderAddresses::Oidc {
                redirect_uri,
                post_logout_redirect_uri,
                backchannel_logout_uri,
            } => vec![
                ("Redirect URI", redirect_uri),
                ("After logout", post_logout_redirect_uri),
                ("Back-channel logout", backchannel_logout_uri),
            ],
            ProviderAddresses::Saml {
                entity_id,
                acs_url,
                slo_url,
            } => vec![
                ("Entity ID, metadata", entity_id),
                ("ACS URL", acs_url),
                ("Single logout", slo_url),
            ],
        };
        Self { lines }
    }
}

// === handlers ===

#[derive(Deserialize)]
pub(crate) struct Confirmed {
    confirm: String,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit, At(id): At<ProviderId>) -> Answer {
    draw(&console, &visit, id, None, None).await
}

pub(crate) async fn update(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ProviderId>,
    Sent(form): Sent<ProviderForm>,
) -> Answer {
    let saved = save(&console, &visit, id, &form).await;
    conclude(&console, &visit, id, saved, Some(form)).await
}

pub(crate) async fn test(State(console): State<Console>, visit: Visit, At(id): At<ProviderId>) -> Answer {
    let tested = console.app.test_identity_provider(&visit.actor, id).await;
    conclude(
        &console,
        &visit,
        id,
        tested.map(|_| ()).map_err(Refusal::from),
        None,
    )
    .await
}

/// Off to the provider, to come back with what it says.
pub(crate) async fn test_sign_in(
    State(console): State<Console>,
    visit: Visit,
    headers: HeaderMap,
    At(id): At<ProviderId>,
) -> Answer {
    let binding = attempt::binding(&headers);
    let wish = BeginSignIn {
        provider: id,
        binding: &binding,
        email: None,
        return_to: "",
    };
    match console.app.begin_test_sign_in(&visit.actor, wish).await {
        Ok(begun) => {
            let mut response = Redirect::to(&begun.url).into_response();
            attempt::keep(&mut response, &console.config, &binding);
            Ok(response)
        }
        Err(error @ AppError::Sso(_)) => {
            let failure = through_provider::told(error);
            draw(&console, &visit, id, Some(&failure), None).await
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn enable(State(console): State<Console>, visit: Visit, At(id): At<ProviderId>) -> Answer {
    let enabled = console.app.enable_identity_provider(&visit.actor, id).await;
    conclude(
        &console,
        &visit,
        id,
        enabled.map(|_| ()).map_err(Refusal::from),
        None,
    )
    .await
}

pub(crate) async fn disable(State(console): State<Console>, visit: Visit, At(id): At<ProviderId>) -> Answer {
    let disabled = console.app.disable_identity_provider(&visit.actor, id).await;
    conclude(
        &console,
        &visit,
        id,
        disabled.map(|_| ()).map_err(Refusal::from),
        None,
    )
    .await
}

pub(crate) async fn delete(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ProviderId>,
    Sent(sent): Sent<Confirmed>,
) -> Answer {
    let view = console.app.show_identity_provider(&visit.actor, id).await?;
    if sent.confirm.trim() != view.name {
        let failure = Refusal::Malformed("the name does not match".to_owned());
        return draw(&console, &visit, id, Some(&failure), None).await;
    }
    match console.app.delete_identity_provider(&visit.actor, id).await {
        Ok(()) => Ok(Redirect::to("/sso").into_response()),
        Err(error) => conclude(&console, &visit, id, Err(error.into()), None).await,
    }
}

async fn save(console: &Console, visit: &Visit, id: ProviderId, form: &ProviderForm) -> Result<(), Refusal> {
    let view = console.app.show_identity_provider(&visit.actor, id).await?;
    let config = match view.config {
        ProviderConfig::Oidc(_) => form.oidc(Preset::of(&view.config)),
        ProviderConfig::Saml(saml) if form.metadata.trim().is_empty() => Some(form.saml(saml)),
        ProviderConfig::Saml(_) => Some(form.saml(console.app.read_saml_metadata(&form.metadata)?)),
    };
    let update = UpdateIdentityProvider {
        name: Some(form.name.clone()),
        config,
        metadata: None,
        secret: Some(form.secret.clone()).filter(|secret| !secret.is_empty()),
    };
    console
        .app
        .update_identity_provider(&visit.actor, id, update)
        .await?;
    Ok(())
}

async fn conclude(
    console: &Console,
    visit: &Visit,
    id: ProviderId,
    done: Result<(), Refusal>,
    form: Option<ProviderForm>,
) -> Answer {
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/sso/providers/{id}")).into_response()),
        Err(failure) if failure.correctable() => draw(console, visit, id, Some(&failure), form).await,
        Err(failure) => Err(failure),
    }
}

async fn draw(
    console: &Console,
    visit: &Visit,
    id: ProviderId,
    failure: Option<&Refusal>,
    form: Option<ProviderForm>,
) -> Answer {
    let view = console.app.show_identity_provider(&visit.actor, id).await?;
    let complaint = failure.map(Refusal::complaint);
    let page = ProviderPage::new(visit.frame(), view, form, complaint, Utc::now());
    let status = failure.map_or(StatusCode::OK, Refusal::status);
    Ok((status, Html(page.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::ProviderPage;
    use crate::{fixtures, fixtures_sign_in};

    #[test]
    fn a_test_is_told_line_by_line_and_the_secret_never() {
        let view = fixtures_sign_in::provider("Acme");
        let page = ProviderPage::new(fixtures::frame(), view, None, None, fixtures::now());
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        for part in ["the clocks agree", "No groups came", "/callback", "Enable"] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(
            html.contains(r#"id="secret" name="secret" type="password" autocomplete="off""#),
            "{html}"
        );
    }
}
