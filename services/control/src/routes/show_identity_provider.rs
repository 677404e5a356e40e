//! `GET /identity-providers/{provider}`

use axum::Json;
use axum::extract::State;
use updraft_api::sign_in::IdentityProviderView;
use updraft_app::App;
use updraft_model::ProviderId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Show an identity provider
///
/// For owners of the organisation.
#[utoipa::path(get, path = "/identity-providers/{provider}", tag = "sign-in", operation_id = "show_identity_provider",
    params(("provider" = ProviderId, Path, description = "The identity provider"),),
    responses((status = 200, description = "The identity provider", body = IdentityProviderView)))]
pub(super) async fn show_identity_provider(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(provider): ApiPath<ProviderId>,
) -> ApiResult<Json<IdentityProviderView>> {
    Ok(Json(app.show_identity_provider(&actor, provider).await?))
}
