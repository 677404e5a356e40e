//! `POST /people`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use updraft_api::passwords::AddedPerson;
use updraft_api::rest::NewPerson;
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller, shown_once};

/// Add a person
///
/// Without a password the answer has a link by which the person chooses one. For owners of the organisation.
#[utoipa::path(post, path = "/people", tag = "people", operation_id = "add_person",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = NewPerson, responses((status = 201, description = "The person", body = AddedPerson)))]
pub(super) async fn add_person(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<NewPerson>,
) -> ApiResult<Response> {
    let added = app.add_person(&actor, body).await?;
    let has_link = added.invite.is_some();
    let answer = (StatusCode::CREATED, Json(added));
    Ok(match has_link {
        true => shown_once(answer),
        false => answer.into_response(),
    })
}
