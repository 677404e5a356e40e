//! `PATCH /people/{user}`

use axum::Json;
use axum::extract::State;
use updraft_api::access::ChangePerson;
use updraft_api::rest::Person;
use updraft_app::App;
use updraft_model::UserId;

use crate::rest::{ApiJson, ApiPath, ApiResult, Caller};

/// Change a person's role in the organisation
///
/// Their sessions go on, with the new rights at once; the last owner stays one. For owners of the organisation.
#[utoipa::path(patch, path = "/people/{user}", tag = "people", operation_id = "change_person",
    params(("user" = UserId, Path, description = "The person")),
    request_body = ChangePerson, responses((status = 200, description = "The person", body = Person)))]
pub(super) async fn change_person(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(user): ApiPath<UserId>,
    ApiJson(body): ApiJson<ChangePerson>,
) -> ApiResult<Json<Person>> {
    Ok(Json(app.change_person(&actor, user, body).await?))
}
