//! `DELETE /sessions`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use updraft_api::tokens::EndedSessions;
use updraft_app::App;
use updraft_model::UserId;
use utoipa::IntoParams;

use crate::rest::{ApiQuery, ApiResult, Caller};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Whose {
    /// Somebody else's, for owners of the organisation.
    user: Option<UserId>,
}

/// Sign out everywhere
///
/// Ends all of one's own sessions in this organisation but this one, or all of somebody else's. Takes a session.
#[utoipa::path(delete, path = "/sessions", tag = "sign-in", operation_id = "revoke_sessions", params(Whose),
    responses((status = 200, description = "How many were ended", body = EndedSessions)))]
pub(super) async fn revoke_sessions(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(Whose { user }): ApiQuery<Whose>,
) -> ApiResult<Json<EndedSessions>> {
    Ok(Json(app.revoke_sessions(&actor, user).await?))
}
