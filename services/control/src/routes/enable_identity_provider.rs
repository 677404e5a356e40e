//! `POST /identity-providers/{provider}/enable`

use axum::Json;
use axum::extract::State;
use updraft_api::sign_in::IdentityProviderView;
use updraft_app::App;
use updraft_model::ProviderId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Enable an identity provider
///
/// After a test of it as it is now has passed. For owners of the organisation.
#[utoipa::path(post, path = "/identity-providers/{provider}/enable", tag = "sign-in", operation_id = "enable_identity_provider",
    params(("provider" = ProviderId, Path, description = "The identity provider"), ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    responses((status = 200, description = "The identity provider", body = IdentityProviderView)))]
pub(super) async fn enable_identity_provider(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(provider): ApiPath<ProviderId>,
) -> ApiResult<Json<IdentityProviderView>> {
    Ok(Json(app.enable_identity_provider(&actor, provider).await?))
}
