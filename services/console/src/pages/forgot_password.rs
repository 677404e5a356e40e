//! Asking for a mail to set a new password. The page answers alike for every address.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use serde::Deserialize;
use updraft_api::passwords::ForgottenPassword;

use crate::error::Complaint;
use crate::extract::Sent;
use crate::frame::Frame;
use crate::refusal::{Answer, Refusal};
use crate::session::ClientAddress;
use crate::shell::Shell;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/forgot_password.html")]
pub(crate) struct ForgotPasswordPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    /// Whether this installation sends mail at all.
    pub(crate) by_mail: bool,
    pub(crate) email: String,
    pub(crate) asked_for: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    email: String,
}

pub(crate) async fn show(State(console): State<Console>, shell: Shell) -> Answer {
    let page = page(&console, &shell, String::new());
    Ok(Html(page.render()?).into_response())
}

pub(crate) async fn ask(
    State(console): State<Console>,
    shell: Shell,
    ClientAddress(from): ClientAddress,
    Sent(asked): Sent<Asked>,
) -> Answer {
    let forgotten = ForgottenPassword {
        email: asked.email.clone(),
    };
    let page = page(&console, &shell, asked.email.clone());
    match console
        .app
        .forgot_password(forgotten, from)
        .await
        .map_err(Refusal::from)
    {
        Ok(()) => {
            let page = ForgotPasswordPage {
                asked_for: Some(asked.email),
                ..page
            };
            Ok(Html(page.render()?).into_response())
        }
        Err(failure) if failure.correctable() => {
            let page = ForgotPasswordPage {
                complaint: page.by_mail.then(|| failure.complaint()),
                ..page
            };
            Ok(failure.on(page.render()?))
        }
        Err(failure) => Err(failure),
    }
}

fn page(console: &Console, shell: &Shell, email: String) -> ForgotPasswordPage {
    ForgotPasswordPage {
        frame: shell.frame(None),
        complaint: None,
        by_mail: console.app.sends_mail(),
        email,
        asked_for: None,
    }
}
