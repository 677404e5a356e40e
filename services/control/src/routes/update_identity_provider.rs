//! `PATCH /identity-providers/{provider}`

use axum::Json;
use axum::extract::State;
use updraft_api::sign_in::{IdentityProviderView, UpdateIdentityProvider};
use updraft_app::App;
use updraft_model::ProviderId;

use crate::rest::{ApiJson, ApiPath, ApiResult, Caller};

/// Change an identity provider
///
/// An enabled one is tested with the change, which is refused if it would not work. For owners of the organisation.
#[utoipa::path(patch, path = "/identity-providers/{provider}", tag = "sign-in", operation_id = "update_identity_provider",
    params(("provider" = ProviderId, Path, description = "The identity provider"),),
    request_body = UpdateIdentityProvider,
    responses((status = 200, description = "The identity provider", body = IdentityProviderView)))]
pub(super) async fn update_identity_provider(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(provider): ApiPath<ProviderId>,
    ApiJson(body): ApiJson<UpdateIdentityProvider>,
) -> ApiResult<Json<IdentityProviderView>> {
    Ok(Json(app.update_identity_provider(&actor, provider, body).await?))
}
