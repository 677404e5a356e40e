//! Carries a sign-in from the console's host to an Airflow's: the edge sent the browser here because it knows no
//! session. Which hosts and paths are allowed is the use case's decision; nothing of the address is believed.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use crate::extract::Asked;
use crate::refusal::Answer;
use crate::session::Visit;
use crate::state::Console;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Handover {
    host: String,
    binding: String,
    return_to: String,
}

/// Comes with a top-level GET from another site, hence changes nothing but a code that only that browser can use.
pub(crate) async fn begin(
    State(console): State<Console>,
    visit: Visit,
    Asked(wish): Asked<Handover>,
) -> Answer {
    let to = console
        .app
        .begin_handover(&visit.actor, &wish.host, &wish.binding, &wish.return_to)
        .await?;
    Ok(Redirect::to(&to).into_response())
}
