//! The people of the organisation: list, add, remove. For owners only.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect};
use serde::Deserialize;
use updraft_api::access::ChangePerson;
use updraft_api::passwords::AddedPerson;
use updraft_api::rest::{NewPerson, Person};
use updraft_app::{Actor, PageRequest};
use updraft_model::{TenantRole, UserId};

use crate::error::Complaint;
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::icon::icon;
use crate::pages::person_sign_in;
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::tone::{Pill, Tone};

#[derive(Template)]
#[template(path = "pages/people.html")]
pub(crate) struct PeoplePage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) attempt: Attempt,
    rows: Vec<Row>,
}

/// What was typed, to be corrected; never the password.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    pub(crate) email: String,
    pub(crate) name: String,
}

struct Row {
    user: UserId,
    name: String,
    email: String,
    role: Pill,
    owner: bool,
    /// One does not remove oneself.
    removable: bool,
}

/// Asks once more, and says what is lost.
#[derive(Template)]
#[template(path = "pages/remove_person.html")]
pub(crate) struct RemovePersonPage {
    pub(crate) frame: Frame,
    pub(crate) user: UserId,
    pub(crate) name: String,
    pub(crate) email: String,
}

// === impl PeoplePage ===

impl PeoplePage {
    pub(crate) fn new(
        frame: Frame,
        people: &[Person],
        me: UserId,
        complaint: Option<Complaint>,
        attempt: Attempt,
    ) -> Self {
        let rows = people.iter().map(|person| Row::new(person, me)).collect();
        Self {
            frame: frame.on(Here::People),
            complaint,
            attempt,
            rows,
        }
    }
}

// === impl Row ===

impl Row {
    fn new(person: &Person, me: UserId) -> Self {
        Self {
            user: person.user,
            name: person.name.clone(),
            email: person.email.clone(),
            role: match person.tenant_role {
                TenantRole::Owner => Pill {
                    icon: icon("lock"),
                    ..Pill::new(Tone::Busy, "Owner")
                },
                TenantRole::Member => Pill {
                    icon: icon("account"),
                    ..Pill::new(Tone::Quiet, "Member")
                },
            },
            owner: person.tenant_role == TenantRole::Owner,
            removable: person.user != me,
        }
    }
}

// === handlers ===

#[derive(Deserialize)]
pub(crate) struct Add {
    email: String,
    name: String,
    tenant_role: TenantRole,
    password: String,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit) -> Answer {
    draw(&console, &visit, None, Attempt::default()).await
}

pub(crate) async fn add(State(console): State<Console>, visit: Visit, Sent(add): Sent<Add>) -> Answer {
    let attempt = Attempt {
        email: add.email.clone(),
        name: add.name.clone(),
    };
    let Add {
        email,
        name,
        tenant_role,
        password,
    } = add;
    let person = NewPerson {
        email,
        name,
        tenant_role,
        password: Some(password).filter(|password| !password.is_empty()),
    };
    match console
        .app
        .add_person(&visit.actor, person)
        .await
        .map_err(Refusal::from)
    {
        Ok(AddedPerson {
            person,
            invite: Some(link),
        }) => person_sign_in::hand_over(&visit, person.user, person.name, link),
        Ok(_) => Ok(Redirect::to("/people").into_response()),
        Err(failure) if failure.correctable() => draw(&console, &visit, Some(failure), attempt).await,
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn ask(State(console): State<Console>, visit: Visit, At(user): At<UserId>) -> Answer {
    let people = all(&console, &visit.actor).await?;
    let person = people
        .into_iter()
        .find(|person| person.user == user)
        .ok_or(Refusal::NoPage)?;
    let frame = visit.frame().on(Here::People);
    let page = RemovePersonPage {
        frame,
        user,
        name: person.name,
        email: person.email,
    };
    Ok(Html(page.render()?).into_response())
}

pub(crate) async fn remove(State(console): State<Console>, visit: Visit, At(user): At<UserId>) -> Answer {
    console.app.remove_person(&visit.actor, user).await?;
    Ok(Redirect::to("/people").into_response())
}

#[derive(Deserialize)]
pub(crate) struct ChangeRole {
    tenant_role: TenantRole,
}

pub(crate) async fn change_role(
    State(console): State<Console>,
    visit: Visit,
    At(user): At<UserId>,
    Sent(ChangeRole { tenant_role }): Sent<ChangeRole>,
) -> Answer {
    let change = ChangePerson { tenant_role };
    match console
        .app
        .change_person(&visit.actor, user, change)
        .await
        .map_err(Refusal::from)
    {
        Ok(_) => Ok(Redirect::to("/people").into_response()),
        Err(failure) if failure.correctable() => {
            draw(&console, &visit, Some(failure), Attempt::default()).await
        }
        Err(failure) => Err(failure),
    }
}

/// Every person of the organisation.
pub(crate) async fn all(console: &Console, actor: &Actor) -> Result<Vec<Person>, Refusal> {
    let mut all = Vec::new();
    let mut request = PageRequest {
        cursor: None,
        limit: Some(200),
    };
    loop {
        let page = console.app.list_people(actor, request.clone()).await?;
        all.extend(page.items);
        request.cursor = page.next;
        if request.cursor.is_none() {
            return Ok(all);
        }
    }
}

async fn draw(console: &Console, visit: &Visit, failure: Option<Refusal>, attempt: Attempt) -> Answer {
    let people = all(console, &visit.actor).await?;
    let complaint = failure.as_ref().map(Refusal::complaint);
    let page = PeoplePage::new(visit.frame(), &people, visit.me.user, complaint, attempt);
    let status = failure.map_or(axum::http::StatusCode::OK, |failure| failure.status());
    Ok((status, Html(page.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::{Attempt, PeoplePage, RemovePersonPage};
    use crate::fixtures;

    #[test]
    fn people_are_listed_and_one_cannot_remove_oneself() {
        let people = fixtures::people();
        let html = PeoplePage::new(
            fixtures::frame(),
            &people,
            people[0].user,
            None,
            Attempt::default(),
        );
        let html = html.render().unwrap();
        fixtures::assert_accessible(&html);
        assert_eq!(html.matches("/remove\"").count(), people.len() - 1, "{html}");
    }

    #[test]
    fn removing_says_what_is_lost() {
        let person = &fixtures::people()[1];
        let (user, name, email) = (person.user, person.name.clone(), person.email.clone());
        let html = RemovePersonPage {
            frame: fixtures::frame(),
            user,
            name,
            email,
        }
        .render()
        .unwrap();
        fixtures::assert_accessible(&html);
        assert!(html.contains("signed out"), "{html}");
    }
}
