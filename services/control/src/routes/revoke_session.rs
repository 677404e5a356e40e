//! `DELETE /sessions/{session}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::SessionId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// End a session
///
/// One's own, or, for owners of the organisation, anybody's; also at every Airflow it was handed to. Takes a session.
#[utoipa::path(delete, path = "/sessions/{session}", tag = "sign-in", operation_id = "revoke_session",
    params(("session" = SessionId, Path, description = "The session")),
    responses((status = 204, description = "The session has ended")))]
pub(super) async fn revoke_session(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(session): ApiPath<SessionId>,
) -> ApiResult<StatusCode> {
    app.revoke_session(&actor, session).await?;
    Ok(StatusCode::NO_CONTENT)
}
