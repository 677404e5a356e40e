//! One's own second factor: set up, confirmed by a code, switched off.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect};
use updraft_api::passwords::{ConfirmSecondFactor, RemoveSecondFactor};

use crate::error::Complaint;
use crate::extract::Sent;
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::{ClientAddress, Visit};
use crate::state::Console;
use crate::text;

#[derive(Template)]
#[template(path = "pages/second_factor.html")]
pub(crate) struct SecondFactorPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) step: Step,
}

pub(crate) enum Step {
    Off,
    /// `picture` is SVG of our own making.
    Pending {
        secret: String,
        picture: String,
    },
    /// The recovery codes: on this page and never again.
    Made {
        codes: Vec<String>,
    },
    On {
        /// How many recovery codes.
        left: String,
    },
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit) -> Answer {
    draw(&console, &visit, None).await
}

pub(crate) async fn begin(State(console): State<Console>, visit: Visit) -> Answer {
    match console
        .app
        .begin_second_factor(&visit.actor)
        .await
        .map_err(Refusal::from)
    {
        Ok(_) => Ok(Redirect::to("/account/second-factor").into_response()),
        Err(failure) => again(&console, &visit, failure).await,
    }
}

pub(crate) async fn confirm(
    State(console): State<Console>,
    visit: Visit,
    ClientAddress(from): ClientAddress,
    Sent(typed): Sent<ConfirmSecondFactor>,
) -> Answer {
    let made = console.app.confirm_second_factor(&visit.actor, typed, from);
    match made.await.map_err(Refusal::from) {
        Ok(made) => {
            let step = Step::Made {
                codes: made.recovery_codes,
            };
            Ok(Html(page(&visit, None, step).render()?).into_response())
        }
        Err(failure) => again(&console, &visit, failure).await,
    }
}

pub(crate) async fn remove(
    State(console): State<Console>,
    visit: Visit,
    ClientAddress(from): ClientAddress,
    Sent(typed): Sent<RemoveSecondFactor>,
) -> Answer {
    let removed = console.app.remove_second_factor(&visit.actor, typed, from);
    match removed.await.map_err(Refusal::from) {
        Ok(()) => Ok(Redirect::to("/account/second-factor").into_response()),
        Err(failure) => again(&console, &visit, failure).await,
    }
}

async fn again(console: &Console, visit: &Visit, failure: Refusal) -> Answer {
    match failure.correctable() {
        true => draw(console, visit, Some(failure)).await,
        false => Err(failure),
    }
}

async fn draw(console: &Console, visit: &Visit, failure: Option<Refusal>) -> Answer {
    let state = console.app.show_second_factor(&visit.actor).await?;
    let step = match console.app.pending_second_factor(&visit.actor).await? {
        _ if state.on => Step::On {
            left: text::count(state.recovery_codes_left, "is", "are"),
        },
        Some((secret, picture)) => Step::Pending { secret, picture },
        None => Step::Off,
    };
    let html = page(visit, failure.as_ref(), step).render()?;
    Ok(match failure {
        Some(failure) => failure.on(html),
        None => Html(html).into_response(),
    })
}

fn page(visit: &Visit, failure: Option<&Refusal>, step: Step) -> SecondFactorPage {
    SecondFactorPage {
        frame: visit.frame().on(Here::Account),
        complaint: failure.map(Refusal::complaint),
        step,
    }
}
