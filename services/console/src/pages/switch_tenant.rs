//! Going to another organisation of one's own: another session, and this one ends.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use updraft_api::tenants::MyTenant;
use updraft_model::TenantId;

use crate::extract::Sent;
use crate::frame::Frame;
use crate::refusal::Answer;
use crate::session::{Visit, keep};
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/switch_tenant.html")]
pub(crate) struct SwitchTenantPage {
    pub(crate) frame: Frame,
    pub(crate) tenants: Vec<MyTenant>,
}

// === handlers ===

#[derive(Deserialize)]
pub(crate) struct Chosen {
    tenant: TenantId,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit) -> Answer {
    let page = SwitchTenantPage {
        tenants: console.app.list_my_tenants(&visit.actor).await?,
        frame: visit.frame(),
    };
    Ok(Html(page.render()?).into_response())
}

pub(crate) async fn switch(
    State(console): State<Console>,
    visit: Visit,
    Sent(chosen): Sent<Chosen>,
) -> Answer {
    let signed_in = console.app.switch_tenant(&visit.actor, chosen.tenant).await?;
    let mut response: Response = Redirect::to("/clusters").into_response();
    keep(
        &mut response,
        &console.config,
        &signed_in.token,
        signed_in.expires_at,
    );
    Ok(response)
}
