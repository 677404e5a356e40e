//! What an AWS account's page has to exchange its external id: made, used, forgotten.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use updraft_app::AppError;
use updraft_model::AwsAccountName;

use super::aws_account::{correctable, draw, page};
use crate::extract::At;
use crate::refusal::Answer;
use crate::session::Visit;
use crate::state::Console;

pub(crate) async fn make(
    State(console): State<Console>,
    visit: Visit,
    At(name): At<AwsAccountName>,
) -> Answer {
    let made = console.app.make_next_external_id(&visit.actor, &name).await;
    answer(&console, &visit, &name, made.map(drop)).await
}

pub(crate) async fn take(
    State(console): State<Console>,
    visit: Visit,
    At(name): At<AwsAccountName>,
) -> Answer {
    let taken = console.app.use_next_external_id(&visit.actor, &name).await;
    answer(&console, &visit, &name, taken.map(drop)).await
}

pub(crate) async fn forget(
    State(console): State<Console>,
    visit: Visit,
    At(name): At<AwsAccountName>,
) -> Answer {
    let forgotten = console.app.drop_next_external_id(&visit.actor, &name).await;
    answer(&console, &visit, &name, forgotten).await
}

/// The account's page again, with what is wrong if something is.
async fn answer(
    console: &Console,
    visit: &Visit,
    name: &AwsAccountName,
    done: Result<(), AppError>,
) -> Answer {
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/aws-accounts/{name}")).into_response()),
        Err(error) => {
            let refused = correctable(error.into())?;
            draw(page(console, visit, name).await?, refused)
        }
    }
}
