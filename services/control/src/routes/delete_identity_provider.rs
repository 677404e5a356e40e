//! `DELETE /identity-providers/{provider}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::ProviderId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Delete an identity provider
///
/// Whoever signed in through it is signed out. The last way in for owners stays. For owners of the organisation.
#[utoipa::path(delete, path = "/identity-providers/{provider}", tag = "sign-in", operation_id = "delete_identity_provider",
    params(("provider" = ProviderId, Path, description = "The identity provider"),),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_identity_provider(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(provider): ApiPath<ProviderId>,
) -> ApiResult<StatusCode> {
    app.delete_identity_provider(&actor, provider).await?;
    Ok(StatusCode::NO_CONTENT)
}
