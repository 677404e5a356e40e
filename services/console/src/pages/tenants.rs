//! The installation's tenants: made, given room, deleted. For operators only, who see names and numbers.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use serde::Deserialize;
use updraft_api::tenants::{MadeTenant, NewOwner, NewTenant, TenantView, UpdateTenant};
use updraft_app::PageRequest;
use updraft_model::TenantId;

use crate::error::Complaint;
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::text::count;

#[derive(Template)]
#[template(path = "pages/tenants.html")]
pub(crate) struct TenantsPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) attempt: Attempt,
    pub(crate) tenants: Vec<TenantView>,
}

/// What was typed, to be corrected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) owner: String,
    /// Who was to be helped.
    pub(crate) in_need: String,
}

/// The one page that shows the owner's first password.
#[derive(Template)]
#[template(path = "pages/tenant_made.html")]
pub(crate) struct TenantMadePage {
    pub(crate) frame: Frame,
    pub(crate) made: MadeTenant,
    pub(crate) email: String,
}

/// Asks once more, and says what is lost.
#[derive(Template)]
#[template(path = "pages/delete_tenant.html")]
pub(crate) struct DeleteTenantPage {
    pub(crate) frame: Frame,
    pub(crate) tenant: TenantView,
}

// === impl DeleteTenantPage ===

impl DeleteTenantPage {
    fn people(&self) -> String {
        counted(self.tenant.people, "person", "people")
    }

    fn clusters(&self) -> String {
        counted(self.tenant.clusters, "cluster", "clusters")
    }
}

fn counted(number: u32, one: &str, many: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), one, many)
}

// === handlers ===

#[derive(Deserialize)]
pub(crate) struct New {
    name: String,
    email: String,
    owner: String,
}

#[derive(Deserialize)]
pub(crate) struct Quota {
    max_clusters: u32,
    max_nodes: u32,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit) -> Answer {
    draw(&console, &visit, None, Attempt::default()).await
}

pub(crate) async fn create(State(console): State<Console>, visit: Visit, Sent(new): Sent<New>) -> Answer {
    let attempt = Attempt {
        name: new.name.clone(),
        email: new.email.clone(),
        owner: new.owner.clone(),
        ..Attempt::default()
    };
    let tenant = NewTenant {
        name: new.name,
        max_clusters: None,
        max_nodes: None,
        owner: NewOwner {
            email: new.email.clone(),
            name: new.owner,
            password: None,
        },
    };
    let made = console.app.create_tenant(&visit.actor, tenant).await;
    match made.map_err(Refusal::from) {
        Ok(made) => {
            let page = TenantMadePage {
                frame: visit.frame().on(Here::Tenants),
                made,
                email: new.email,
            };
            Ok((StatusCode::CREATED, Html(page.render()?)).into_response())
        }
        Err(failure) if failure.correctable() => draw(&console, &visit, Some(failure), attempt).await,
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn update(
    State(console): State<Console>,
    visit: Visit,
    At(tenant): At<TenantId>,
    Sent(quota): Sent<Quota>,
) -> Answer {
    let update = UpdateTenant {
        max_clusters: Some(quota.max_clusters),
        max_nodes: Some(quota.max_nodes),
    };
    let done = console.app.update_tenant(&visit.actor, tenant, update).await;
    match done.map_err(Refusal::from) {
        Ok(_) => Ok(Redirect::to("/tenants").into_response()),
        Err(failure) if failure.correctable() => {
            draw(&console, &visit, Some(failure), Attempt::default()).await
        }
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn ask(State(console): State<Console>, visit: Visit, At(tenant): At<TenantId>) -> Answer {
    let page = DeleteTenantPage {
        tenant: console.app.show_tenant(&visit.actor, tenant).await?,
        frame: visit.frame().on(Here::Tenants),
    };
    Ok(Html(page.render()?).into_response())
}

pub(crate) async fn delete(State(console): State<Console>, visit: Visit, At(tenant): At<TenantId>) -> Answer {
    let done = console.app.delete_tenant(&visit.actor, tenant).await;
    match done.map_err(Refusal::from) {
        Ok(()) => Ok(Redirect::to("/tenants").into_response()),
        Err(failure) if failure.correctable() => {
            draw(&console, &visit, Some(failure), Attempt::default()).await
        }
        Err(failure) => Err(failure),
    }
}

/// The account to be helped is none, or an operator's.
pub(crate) async fn nobody_to_help(
    console: &Console,
    visit: &Visit,
    failure: Refusal,
    in_need: String,
) -> Answer {
    let attempt = Attempt {
        in_need,
        ..Attempt::default()
    };
    draw(console, visit, Some(failure), attempt).await
}

async fn draw(console: &Console, visit: &Visit, failure: Option<Refusal>, attempt: Attempt) -> Answer {
    let mut tenants = Vec::new();
    let mut request = PageRequest {
        cursor: None,
        limit: Some(200),
    };
    loop {
        let page = console.app.list_tenants(&visit.actor, request.clone()).await?;
        tenants.extend(page.items);
        request.cursor = page.next;
        if request.cursor.is_none() {
            break;
        }
    }
    let page = TenantsPage {
        frame: visit.frame().on(Here::Tenants),
        complaint: failure.as_ref().map(Refusal::complaint),
        attempt,
        tenants,
    };
    let status = failure.map_or(StatusCode::OK, |failure| failure.status());
    Ok((status, Html(page.render()?)).into_response())
}
