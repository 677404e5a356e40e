//! `POST /people/{user}/password-link`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use updraft_api::passwords::PasswordLink;
use updraft_app::App;
use updraft_model::UserId;

use crate::rest::{ApiPath, ApiResult, Caller, shown_once};

/// Make a link to set a new password
///
/// Good once, for a day; those made before are worth nothing any more. For accounts that are this organisation's alone.
/// For owners of the organisation, in a session.
#[utoipa::path(post, path = "/people/{user}/password-link", tag = "people", operation_id = "create_password_link",
    params(("user" = UserId, Path, description = "The person")),
    responses((status = 201, description = "The link", body = PasswordLink)))]
pub(super) async fn create_password_link(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(user): ApiPath<UserId>,
) -> ApiResult<Response> {
    let link = app.create_password_link(&actor, user).await?;
    Ok(shown_once((StatusCode::CREATED, Json(link))))
}
