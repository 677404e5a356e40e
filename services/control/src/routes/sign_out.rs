//! `DELETE /sessions/current`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;

use crate::rest::{ApiResult, Caller};

/// Sign out
///
/// Ends this session, also at every Airflow it was handed to.
#[utoipa::path(delete, path = "/sessions/current", tag = "sign-in", operation_id = "sign_out",
    responses((status = 204, description = "The session has ended")))]
pub(super) async fn sign_out(State(app): State<App>, Caller(actor): Caller) -> ApiResult<StatusCode> {
    app.sign_out(&actor).await?;
    Ok(StatusCode::NO_CONTENT)
}
