//! One's own account: who one is, and the password.

use askama::Template;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use updraft_api::rest::ChangePassword;

use crate::error::Complaint;
use crate::extract::{Asked, Sent};
use crate::frame::{Frame, Here, Theme};
use crate::local_path::LocalPath;
use crate::pages::sessions::Sessions;
use crate::refusal::{Answer, Refusal};
use crate::session::{ClientAddress, Visit};
use crate::shell::THEME_COOKIE;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/account.html")]
pub(crate) struct AccountPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) changed: bool,
    pub(crate) sessions: Sessions,
}

// === impl AccountPage ===

impl AccountPage {
    pub(crate) fn new(frame: Frame, complaint: Option<Complaint>, changed: bool, sessions: Sessions) -> Self {
        Self {
            frame: frame.on(Here::Account),
            complaint,
            changed,
            sessions,
        }
    }
}

// === handlers ===

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct After {
    changed: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct NewPassword {
    current: String,
    new: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ThemeChoice {
    theme: String,
    return_to: String,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit, Asked(after): Asked<After>) -> Answer {
    let sessions = Sessions::of(&console, &visit).await?;
    let page = AccountPage::new(visit.frame(), None, after.changed.is_some(), sessions);
    Ok(Html(page.render()?).into_response())
}

pub(crate) async fn change_password(
    State(console): State<Console>,
    visit: Visit,
    ClientAddress(from): ClientAddress,
    Sent(NewPassword { current, new }): Sent<NewPassword>,
) -> Answer {
    match console
        .app
        .change_password(&visit.actor, ChangePassword { current, new }, from)
        .await
        .map_err(Refusal::from)
    {
        Ok(()) => Ok(Redirect::to("/account?changed=password").into_response()),
        Err(failure) if failure.correctable() || failure.status() == axum::http::StatusCode::FORBIDDEN => {
            let sessions = Sessions::of(&console, &visit).await?;
            let page = AccountPage::new(visit.frame(), Some(failure.complaint()), false, sessions);
            Ok(failure.on(page.render()?))
        }
        Err(failure) => Err(failure),
    }
}

/// A cookie and not the account, so that sign-in has the theme too and no page flashes.
pub(crate) async fn switch_theme(Sent(choice): Sent<ThemeChoice>) -> Response {
    let theme = Theme::parse(&choice.theme).word();
    let mut response = Redirect::to(LocalPath::or_home(&choice.return_to).as_str()).into_response();
    let cookie = format!("{THEME_COOKIE}={theme}; Path=/; Max-Age=31536000; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::AccountPage;
    use crate::error::Complaint;
    use crate::fixtures;

    #[test]
    fn the_password_form_is_labelled_and_a_complaint_is_announced() {
        let html = AccountPage::new(
            fixtures::frame(),
            Some(Complaint::new("Wrong.", "Try again.")),
            false,
            fixtures::sessions(),
        );
        let html = html.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(html.contains(r#"role="alert""#), "{html}");
    }
}
