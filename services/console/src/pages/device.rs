//! Letting a device in that shows a code (RFC 8628): which one is it, and may it?

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use chrono::Utc;
use serde::Deserialize;

use crate::error::Complaint;
use crate::extract::{Asked, Sent};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::{ClientAddress, Visit};
use crate::state::Console;
use crate::text::Moment;

#[derive(Template)]
#[template(path = "pages/device.html")]
pub(crate) struct DevicePage {
    pub(crate) frame: Frame,
    pub(crate) me: String,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) step: Step,
}

pub(crate) enum Step {
    Ask {
        code: String,
    },
    Decide {
        code: String,
        client: String,
        address: String,
        asked: Moment,
    },
    Done {
        approved: bool,
    },
}

// === handlers ===

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    code: String,
    /// What became of the last one.
    done: Option<Decision>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Decision {
    Approve,
    Deny,
}

#[derive(Deserialize)]
pub(crate) struct Decided {
    code: String,
    decision: Decision,
}

pub(crate) async fn show(
    State(console): State<Console>,
    visit: Visit,
    ClientAddress(from): ClientAddress,
    Asked(wish): Asked<Wish>,
) -> Answer {
    if let Some(decision) = wish.done {
        let approved = decision == Decision::Approve;
        return draw(&visit, Step::Done { approved }, None);
    }
    if wish.code.is_empty() {
        return draw(&visit, Step::Ask { code: wish.code }, None);
    }
    match console
        .app
        .find_device(&visit.actor, &wish.code, from)
        .await
        .map_err(Refusal::from)
    {
        Ok(device) => {
            let step = Step::Decide {
                code: wish.code,
                client: device.client_name,
                address: device.address.unwrap_or_else(|| "unknown".to_owned()),
                asked: Moment::new(device.created_at, Utc::now()),
            };
            draw(&visit, step, None)
        }
        Err(failure) => again(&visit, wish.code, failure),
    }
}

pub(crate) async fn decide(
    State(console): State<Console>,
    visit: Visit,
    ClientAddress(from): ClientAddress,
    Sent(Decided { code, decision }): Sent<Decided>,
) -> Answer {
    let approved = decision == Decision::Approve;
    match console
        .app
        .decide_device(&visit.actor, &code, approved, from)
        .await
        .map_err(Refusal::from)
    {
        Ok(()) if approved => Ok(Redirect::to("/device?done=approve").into_response()),
        Ok(()) => Ok(Redirect::to("/device?done=deny").into_response()),
        Err(failure) => again(&visit, code, failure),
    }
}

fn again(visit: &Visit, code: String, failure: Refusal) -> Answer {
    if !failure.status().is_client_error() {
        return Err(failure);
    }
    draw(visit, Step::Ask { code }, Some(&failure))
}

fn draw(visit: &Visit, step: Step, failure: Option<&Refusal>) -> Answer {
    let page = DevicePage {
        frame: visit.frame().on(Here::Account),
        me: visit.me.email.clone(),
        complaint: failure.map(Refusal::complaint),
        step,
    };
    let status = failure.map_or(StatusCode::OK, Refusal::status);
    Ok((status, Html(page.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use chrono::Utc;

    use super::{DevicePage, Step};
    use crate::fixtures;
    use crate::text::Moment;

    fn page(step: Step) -> String {
        let page = DevicePage {
            frame: fixtures::frame(),
            me: "ada@example.com".into(),
            complaint: None,
            step,
        };
        page.render().unwrap()
    }

    #[test]
    fn every_step_is_an_accessible_page() {
        for step in [
            Step::Ask { code: "\"B".into() },
            Step::Done { approved: true },
            Step::Done { approved: false },
        ] {
            fixtures::assert_accessible(&page(step));
        }
    }

    #[test]
    fn who_decides_sees_what_asks_and_from_where_as_text() {
        let html = page(Step::Decide {
            code: "BCDF-GHJK".into(),
            client: "<b>updraft</b> on laptop".into(),
            address: "192.0.2.7".into(),
            asked: Moment::new(Utc::now(), Utc::now()),
        });
        fixtures::assert_accessible(&html);
        assert!(
            html.contains("&#60;b&#62;updraft") && html.contains("192.0.2.7"),
            "{html}"
        );
    }
}
