//! The organisation's own AWS accounts, in which its clusters' nodes may be: owners keep them.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::aws_accounts::{AwsAccountView, NewAwsAccount};
use updraft_app::PageRequest;
use updraft_model::AwsAccountName;

use crate::error::Complaint;
use crate::extract::Sent;
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::text::Moment;

#[derive(Template)]
#[template(path = "pages/aws_accounts.html")]
pub(crate) struct AwsAccountsPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    name: String,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    place: Option<String>,
    refusal: Option<String>,
    used_by: Vec<String>,
    changed: Moment,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Make {
    name: String,
}

// === impl AwsAccountsPage ===

impl AwsAccountsPage {
    pub(crate) fn new(frame: Frame, accounts: Vec<AwsAccountView>, now: DateTime<Utc>) -> Self {
        Self {
            frame: frame.on(Here::Credentials),
            complaint: None,
            name: String::new(),
            rows: accounts.into_iter().map(|one| Row::new(one, now)).collect(),
        }
    }
}

// === impl Row ===

impl Row {
    fn new(account: AwsAccountView, now: DateTime<Utc>) -> Self {
        let place = account.config.map(|config| {
            let number = config.role_arn.split(':').nth(4).unwrap_or_default();
            format!("{number} in {}", config.region)
        });
        Self {
            name: account.name.to_string(),
            place,
            refusal: account.refusal,
            used_by: account.used_by,
            changed: Moment::new(account.updated_at, now),
        }
    }
}

// === handlers ===

pub(crate) async fn show(State(console): State<Console>, visit: Visit) -> Answer {
    Ok(Html(page(&console, &visit).await?.render()?).into_response())
}

pub(crate) async fn make(State(console): State<Console>, visit: Visit, Sent(make): Sent<Make>) -> Answer {
    let complaint = match make.name.trim().parse::<AwsAccountName>() {
        Err(error) => Complaint::new("This is no name for an AWS account.", error.to_string()),
        Ok(name) => match console
            .app
            .create_aws_account(&visit.actor, NewAwsAccount { name })
            .await
        {
            Ok(made) => return Ok(Redirect::to(&format!("/aws-accounts/{}", made.name)).into_response()),
            Err(error) => match Refusal::from(error) {
                refusal if refusal.correctable() => refusal.complaint(),
                refusal => return Err(refusal),
            },
        },
    };
    let page = AwsAccountsPage {
        complaint: Some(complaint),
        name: make.name,
        ..page(&console, &visit).await?
    };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, Html(page.render()?)).into_response())
}

async fn page(console: &Console, visit: &Visit) -> Result<AwsAccountsPage, Refusal> {
    let request = PageRequest {
        limit: Some(200),
        ..PageRequest::default()
    };
    let accounts = console.app.list_aws_accounts(&visit.actor, request).await?;
    Ok(AwsAccountsPage::new(visit.frame(), accounts.items, Utc::now()))
}
