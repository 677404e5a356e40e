//! A link that an owner handed over or that was mailed, opened: choose a password. Opening it uses nothing up.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use serde::Deserialize;
use updraft_api::passwords::SetPassword;

use crate::error::Complaint;
use crate::extract::{Asked, Sent};
use crate::frame::Frame;
use crate::refusal::{Answer, Refusal};
use crate::shell::Shell;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/set_password.html")]
pub(crate) struct SetPasswordPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    /// Whose link it is; none: it is no good.
    pub(crate) email: Option<String>,
    pub(crate) link: String,
    pub(crate) done: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Opened {
    link: String,
}

#[derive(Deserialize)]
pub(crate) struct Chosen {
    link: String,
    password: String,
}

pub(crate) async fn show(
    State(console): State<Console>,
    shell: Shell,
    Asked(opened): Asked<Opened>,
) -> Answer {
    draw(&console, &shell, opened.link, None).await
}

pub(crate) async fn set(State(console): State<Console>, shell: Shell, Sent(chosen): Sent<Chosen>) -> Answer {
    let set = SetPassword {
        link: chosen.link.clone(),
        password: chosen.password,
    };
    match console.app.set_password(set).await.map_err(Refusal::from) {
        Ok(()) => Ok(Html(page(&shell, String::new(), None, None, true).render()?).into_response()),
        Err(failure) if failure.correctable() => draw(&console, &shell, chosen.link, Some(failure)).await,
        Err(failure) => Ok(failure.on(page(&shell, String::new(), None, Some(&failure), false).render()?)),
    }
}

async fn draw(console: &Console, shell: &Shell, link: String, failure: Option<Refusal>) -> Answer {
    let found = console.app.find_password_link(&link).await.map_err(Refusal::from);
    let (email, failure) = match found {
        Ok(holder) => (Some(holder.email), failure),
        Err(refused) => (None, Some(refused)),
    };
    let html = page(shell, link, email, failure.as_ref(), false).render()?;
    Ok(match failure {
        Some(failure) => failure.on(html),
        None => Html(html).into_response(),
    })
}

fn page(
    shell: &Shell,
    link: String,
    email: Option<String>,
    failure: Option<&Refusal>,
    done: bool,
) -> SetPasswordPage {
    SetPasswordPage {
        frame: shell.frame(None),
        complaint: failure.map(Refusal::complaint),
        email,
        link,
        done,
    }
}
