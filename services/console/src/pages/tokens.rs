//! API tokens, and for owners service accounts: list, make, revoke.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::tokens::{CreatedToken, NewServiceAccount, NewToken, ServiceAccountView, TokenView};
use updraft_app::PageRequest;
use updraft_model::{TenantRole, TokenId, TokenLimit, UserId};

use crate::error::Complaint;
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::text::Moment;

const USUAL_DAYS: &str = "90";

#[derive(Template)]
#[template(path = "pages/tokens.html")]
pub(crate) struct TokensPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    /// Just made: its text is on this page and never again.
    pub(crate) made: Option<CreatedToken>,
    pub(crate) attempt: Attempt,
    pub(crate) owner: bool,
    pub(crate) accounts: Vec<ServiceAccountView>,
    rows: Vec<Row>,
}

/// What was typed, to be corrected.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) name: String,
    pub(crate) days: String,
}

struct Row {
    id: TokenId,
    name: String,
    hint: String,
    owner: String,
    service: bool,
    role: &'static str,
    used: Option<Moment>,
    expires: Option<String>,
    expired: bool,
}

/// Asks once more, and says what is lost.
#[derive(Template)]
#[template(path = "pages/delete_service_account.html")]
pub(crate) struct DeleteServiceAccountPage {
    pub(crate) frame: Frame,
    pub(crate) account: ServiceAccountView,
    tokens: usize,
}

// === impl Row ===

impl Row {
    fn new(token: TokenView, now: DateTime<Utc>) -> Self {
        Self {
            id: token.id,
            name: token.name,
            hint: token.hint,
            owner: token.owner_email,
            service: token.service_account,
            role: match token.role {
                TokenLimit::Full => "all that its owner may",
                TokenLimit::Admin => "cluster admin",
                TokenLimit::User => "cluster user",
                TokenLimit::Scim => "SCIM",
            },
            used: token.used_at.map(|at| Moment::new(at, now)),
            expired: token.expires_at.is_some_and(|at| at <= now),
            expires: token.expires_at.map(|at| at.format("%-d %b %Y").to_string()),
        }
    }
}

// === impl Attempt ===

impl Default for Attempt {
    fn default() -> Self {
        Self {
            name: String::new(),
            days: USUAL_DAYS.to_owned(),
        }
    }
}

// === handlers ===

#[derive(Deserialize)]
pub(crate) struct Make {
    name: String,
    role: TokenLimit,
    days: String,
    /// Empty: for oneself.
    #[serde(default)]
    service_account: String,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit) -> Answer {
    draw(&console, &visit, Attempt::default(), None, None).await
}

pub(crate) async fn make(State(console): State<Console>, visit: Visit, Sent(make): Sent<Make>) -> Answer {
    let attempt = Attempt {
        name: make.name.clone(),
        days: make.days.clone(),
    };
    let new = NewToken {
        name: make.name,
        role: make.role,
        // What is no number is no number of days either: refused where all are.
        expires_in_days: Some(make.days.trim().parse().unwrap_or(0)),
        never_expires: false,
        service_account: make.service_account.parse().ok(),
    };
    match console
        .app
        .create_token(&visit.actor, new)
        .await
        .map_err(Refusal::from)
    {
        Ok(made) => draw(&console, &visit, Attempt::default(), Some(made), None).await,
        Err(failure) if failure.correctable() => draw(&console, &visit, attempt, None, Some(failure)).await,
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn revoke(State(console): State<Console>, visit: Visit, At(token): At<TokenId>) -> Answer {
    console.app.revoke_token(&visit.actor, token).await?;
    Ok(Redirect::to("/tokens").into_response())
}

pub(crate) async fn make_account(
    State(console): State<Console>,
    visit: Visit,
    Sent(new): Sent<NewServiceAccount>,
) -> Answer {
    match console
        .app
        .create_service_account(&visit.actor, new)
        .await
        .map_err(Refusal::from)
    {
        Ok(_) => Ok(Redirect::to("/tokens").into_response()),
        Err(failure) if failure.correctable() => {
            draw(&console, &visit, Attempt::default(), None, Some(failure)).await
        }
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn ask_delete_account(
    State(console): State<Console>,
    visit: Visit,
    At(user): At<UserId>,
) -> Answer {
    let accounts = accounts(&console, &visit).await?;
    let account = accounts.into_iter().find(|account| account.user == user);
    let account = account.ok_or(Refusal::NoPage)?;
    let page = DeleteServiceAccountPage {
        frame: visit.frame().on(Here::Tokens),
        tokens: usize::try_from(account.tokens).unwrap_or(usize::MAX),
        account,
    };
    Ok(Html(page.render()?).into_response())
}

pub(crate) async fn delete_account(
    State(console): State<Console>,
    visit: Visit,
    At(user): At<UserId>,
) -> Answer {
    console.app.delete_service_account(&visit.actor, user).await?;
    Ok(Redirect::to("/tokens").into_response())
}

async fn accounts(console: &Console, visit: &Visit) -> Result<Vec<ServiceAccountView>, Refusal> {
    let page = console.app.list_service_accounts(&visit.actor, first_page());
    Ok(page.await?.items)
}

async fn draw(
    console: &Console,
    visit: &Visit,
    attempt: Attempt,
    made: Option<CreatedToken>,
    failure: Option<Refusal>,
) -> Answer {
    let owner = visit.me.tenant_role == TenantRole::Owner;
    let tokens = console.app.list_tokens(&visit.actor, first_page()).await?;
    let accounts = match owner {
        true => accounts(console, visit).await?,
        false => Vec::new(),
    };
    let now = Utc::now();
    let page = TokensPage {
        frame: visit.frame().on(Here::Tokens),
        complaint: failure.as_ref().map(Refusal::complaint),
        made,
        attempt,
        owner,
        accounts,
        rows: tokens
            .items
            .into_iter()
            .map(|token| Row::new(token, now))
            .collect(),
    };
    let status = failure.map_or(StatusCode::OK, |failure| failure.status());
    Ok((status, Html(page.render()?)).into_response())
}

fn first_page() -> PageRequest {
    PageRequest {
        cursor: None,
        limit: Some(200),
    }
}
