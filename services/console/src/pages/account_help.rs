//! What an operator does for somebody who cannot sign in and whom no owner may help.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use serde::Deserialize;
use updraft_api::passwords::PasswordLink;
use updraft_api::tenants::AccountInNeed;

use crate::extract::Sent;
use crate::frame::{Frame, Here};
use crate::pages::tenants;
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;

/// The one page that shows the link, or that the second factor is gone.
#[derive(Template)]
#[template(path = "pages/account_help.html")]
pub(crate) struct AccountHelpPage {
    pub(crate) frame: Frame,
    pub(crate) email: String,
    pub(crate) link: Option<PasswordLink>,
}

#[derive(Deserialize)]
pub(crate) struct Account {
    email: String,
}

pub(crate) async fn make_link(
    State(console): State<Console>,
    visit: Visit,
    Sent(account): Sent<Account>,
) -> Answer {
    let named = AccountInNeed { email: account.email };
    let done = console.app.help_with_password(&visit.actor, &named).await;
    answer(
        &console,
        &visit,
        named.email,
        done.map(Some).map_err(Refusal::from),
    )
    .await
}

pub(crate) async fn remove_second_factor(
    State(console): State<Console>,
    visit: Visit,
    Sent(account): Sent<Account>,
) -> Answer {
    let named = AccountInNeed { email: account.email };
    let done = console.app.help_with_second_factor(&visit.actor, &named).await;
    answer(
        &console,
        &visit,
        named.email,
        done.map(|()| None).map_err(Refusal::from),
    )
    .await
}

async fn answer(
    console: &Console,
    visit: &Visit,
    email: String,
    done: Result<Option<PasswordLink>, Refusal>,
) -> Answer {
    match done {
        Ok(link) => {
            let page = AccountHelpPage {
                frame: visit.frame().on(Here::Tenants),
                email,
                link,
            };
            Ok(Html(page.render()?).into_response())
        }
        Err(failure) if failure.correctable() || failure.status() == StatusCode::NOT_FOUND => {
            tenants::nobody_to_help(console, visit, failure, email).await
        }
        Err(failure) => Err(failure),
    }
}
