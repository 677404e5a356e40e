//! Connecting an identity provider: what to do there, and what it says of itself.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use serde::Deserialize;
use updraft_api::sign_in::NewIdentityProvider;
use updraft_model::ProviderId;
use uuid::Uuid;

use crate::error::Complaint;
use crate::extract::{Asked, Sent};
use crate::frame::{Frame, Here};
use crate::pages::provider::Addresses;
use crate::pages::provider_form::{Preset, ProviderForm};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::text::Prose;

#[derive(Template)]
#[template(path = "pages/new_provider.html")]
pub(crate) struct NewProviderPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    /// Chosen now, so that the provider can be told its addresses before it is connected.
    pub(crate) id: ProviderId,
    pub(crate) preset: Preset,
    pub(crate) form: ProviderForm,
    pub(crate) addresses: Addresses,
    pub(crate) advice: Prose,
    pub(crate) known: bool,
}

// === handlers ===

#[derive(Deserialize)]
pub(crate) struct Wish {
    preset: Preset,
}

#[derive(Deserialize)]
pub(crate) struct NewProviderForm {
    id: ProviderId,
    preset: Preset,
    #[serde(flatten)]
    form: ProviderForm,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit, Asked(wish): Asked<Wish>) -> Answer {
    // Whoever may not connect one is told so before they fill in a form.
    console.app.list_identity_providers(&visit.actor).await?;
    let id = ProviderId(Uuid::now_v7());
    draw(&console, &visit, id, wish.preset, wish.preset.blank(), None)
}

pub(crate) async fn create(
    State(console): State<Console>,
    visit: Visit,
    Sent(sent): Sent<NewProviderForm>,
) -> Answer {
    let NewProviderForm { id, preset, form } = sent;
    match connect(&console, &visit, id, preset, &form).await {
        Ok(()) => Ok(Redirect::to(&format!("/sso/providers/{id}")).into_response()),
        Err(failure) if failure.correctable() => draw(&console, &visit, id, preset, form, Some(&failure)),
        Err(failure) => Err(failure),
    }
}

async fn connect(
    console: &Console,
    visit: &Visit,
    id: ProviderId,
    preset: Preset,
    form: &ProviderForm,
) -> Result<(), Refusal> {
    let config = match form.oidc(preset) {
        Some(config) => config,
        None => form.saml(console.app.read_saml_metadata(&form.metadata)?),
    };
    let new = NewIdentityProvider {
        id: Some(id),
        name: form.name.clone(),
        config: Some(config),
        metadata: None,
        secret: Some(form.secret.clone()).filter(|secret| !secret.is_empty()),
    };
    console.app.create_identity_provider(&visit.actor, new).await?;
    Ok(())
}

fn draw(
    console: &Console,
    visit: &Visit,
    id: ProviderId,
    preset: Preset,
    form: ProviderForm,
    failure: Option<&Refusal>,
) -> Answer {
    let addresses = console.app.provider_addresses(id, preset == Preset::Saml);
    let page = NewProviderPage {
        frame: visit.frame().on(Here::People),
        complaint: failure.map(Refusal::complaint),
        id,
        preset,
        form,
        addresses: Addresses::new(addresses),
        advice: Prose::from(preset.advice()),
        known: false,
    };
    let status = failure.map_or(StatusCode::OK, Refusal::status);
    Ok((status, Html(page.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::NewProviderPage;
    use crate::pages::provider::Addresses;
    use crate::pages::provider_form::Preset;
    use crate::text::Prose;
    use crate::{fixtures, fixtures_sign_in};

    #[test]
    fn every_preset_says_what_to_do_there() {
        for preset in [
            Preset::Google,
            Preset::Okta,
            Preset::Entra,
            Preset::Keycloak,
            Preset::Generic,
            Preset::Saml,
        ] {
            let view = fixtures_sign_in::provider("Acme");
            let page = NewProviderPage {
                frame: fixtures::frame(),
                complaint: None,
                id: view.id,
                preset,
                form: preset.blank(),
                addresses: Addresses::new(view.addresses),
                advice: Prose::from(preset.advice()),
                known: false,
            };
            let html = page.render().unwrap();
            fixtures::assert_accessible(&html);
            assert!(html.contains("/callback"), "{html}");
        }
    }
}
