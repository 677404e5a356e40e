//! `DELETE /tokens/{token}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::TokenId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Revoke an API token
///
/// One's own, or, for owners of the organisation, anybody's. A token may revoke itself. It is worth nothing at once, and
/// within seconds at every Airflow.
#[utoipa::path(delete, path = "/tokens/{token}", tag = "tokens", operation_id = "revoke_token",
    params(("token" = TokenId, Path, description = "The token")),
    responses((status = 204, description = "The token is worth nothing any more")))]
pub(super) async fn revoke_token(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(token): ApiPath<TokenId>,
) -> ApiResult<StatusCode> {
    app.revoke_token(&actor, token).await?;
    Ok(StatusCode::NO_CONTENT)
}
