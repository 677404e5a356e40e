//! What an owner does for somebody who cannot sign in: a link to a new password, and away with a lost second factor.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use updraft_api::passwords::PasswordLink;
use updraft_model::UserId;

use crate::error::Complaint;
use crate::extract::At;
use crate::frame::{Frame, Here};
use crate::pages::people;
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/person_sign_in.html")]
pub(crate) struct PersonSignInPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) user: UserId,
    pub(crate) name: String,
    /// Just made: on this page and never again.
    pub(crate) link: Option<PasswordLink>,
    /// The second factor was removed just now.
    pub(crate) removed: bool,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit, At(user): At<UserId>) -> Answer {
    let page = page(&console, &visit, user).await?;
    Ok(Html(page.render()?).into_response())
}

pub(crate) async fn make_link(State(console): State<Console>, visit: Visit, At(user): At<UserId>) -> Answer {
    let made = console.app.create_password_link(&visit.actor, user).await;
    let page = page(&console, &visit, user).await?;
    match made.map_err(Refusal::from) {
        Ok(link) => hand_over(&visit, user, page.name, link),
        Err(failure) => refused(page, failure),
    }
}

pub(crate) async fn remove_second_factor(
    State(console): State<Console>,
    visit: Visit,
    At(user): At<UserId>,
) -> Answer {
    let done = console.app.remove_second_factor_of(&visit.actor, user).await;
    let page = page(&console, &visit, user).await?;
    match done.map_err(Refusal::from) {
        Ok(()) => {
            let page = PersonSignInPage {
                removed: true,
                ..page
            };
            Ok(Html(page.render()?).into_response())
        }
        Err(failure) => refused(page, failure),
    }
}

/// Shows a link that was just made.
pub(crate) fn hand_over(visit: &Visit, user: UserId, name: String, link: PasswordLink) -> Answer {
    let page = PersonSignInPage {
        frame: visit.frame().on(Here::People),
        complaint: None,
        user,
        name,
        link: Some(link),
        removed: false,
    };
    Ok(Html(page.render()?).into_response())
}

async fn page(console: &Console, visit: &Visit, user: UserId) -> Result<PersonSignInPage, Refusal> {
    let people = people::all(console, &visit.actor).await?;
    let person = people.into_iter().find(|person| person.user == user);
    Ok(PersonSignInPage {
        frame: visit.frame().on(Here::People),
        complaint: None,
        user,
        name: person.ok_or(Refusal::NoPage)?.name,
        link: None,
        removed: false,
    })
}

fn refused(page: PersonSignInPage, failure: Refusal) -> Answer {
    if !failure.correctable() {
        return Err(failure);
    }
    let page = PersonSignInPage {
        complaint: Some(failure.complaint()),
        ..page
    };
    Ok(failure.on(page.render()?))
}
