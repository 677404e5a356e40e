//! `POST /people`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::rest::{NewPerson, Person};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller};

/// Add a person
///
/// For owners of the organisation.
#[utoipa::path(post, path = "/people", tag = "people", operation_id = "add_person",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = NewPerson, responses((status = 201, description = "The person", body = Person)))]
pub(super) async fn add_person(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<NewPerson>,
) -> ApiResult<(StatusCode, Json<Person>)> {
    Ok((StatusCode::CREATED, Json(app.add_person(&actor, body).await?)))
}
