//! Signing out: of Updraft in this browser, or everywhere.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::extract::Sent;
use crate::frame::Frame;
use crate::pages::through_provider::AwayPage;
use crate::refusal::{Answer, Refusal};
use crate::session::{Visit, forget};
use crate::shell::Shell;
use crate::state::Console;

/// Asks before signing out when another site sent the person here.
#[derive(Template)]
#[template(path = "pages/sign_out.html")]
pub(crate) struct SignOutPage {
    pub(crate) frame: Frame,
}

// === handlers ===

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Extent {
    /// All sessions of this person in this organisation, and the identity provider's own.
    everywhere: Option<String>,
}

/// An Airflow's sign-out ends here too, by a link from its host: asked again, since any site could link here.
pub(crate) async fn ask(shell: Shell, visit: Result<Visit, Refusal>) -> Answer {
    match visit {
        Ok(_) => {
            let frame = shell.frame(None);
            Ok(Html(SignOutPage { frame }.render()?).into_response())
        }
        Err(Refusal::SignedOut(_)) => Ok(Redirect::to("/sign-in").into_response()),
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn sign_out(
    State(console): State<Console>,
    shell: Shell,
    visit: Result<Visit, Refusal>,
    Sent(extent): Sent<Extent>,
) -> Answer {
    let mut response = match visit {
        Ok(visit) if extent.everywhere.is_some() => everywhere(&console, &shell, &visit).await?,
        Ok(visit) => {
            console.app.sign_out(&visit.actor).await?;
            Redirect::to("/sign-in").into_response()
        }
        Err(Refusal::SignedOut(_)) => Redirect::to("/sign-in").into_response(),
        Err(failure) => return Err(failure),
    };
    forget(&mut response, &console.config);
    Ok(response)
}

async fn everywhere(console: &Console, shell: &Shell, visit: &Visit) -> Result<Response, Refusal> {
    let Some(to) = console.app.sign_out_everywhere(&visit.actor).await? else {
        return Ok(Redirect::to("/sign-in").into_response());
    };
    let page = AwayPage {
        frame: shell.frame(None),
        title: "Signed out of Updraft".to_owned(),
        what: "Your identity provider is told to sign you out too.".to_owned(),
        to,
    };
    Ok(Html(page.render()?).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::SignOutPage;
    use crate::fixtures;

    #[test]
    fn one_is_asked_before_one_is_signed_out() {
        let frame = fixtures::stranger_frame();
        let html = SignOutPage { frame }.render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(html.contains(r#"name="everywhere""#), "{html}");
    }
}
