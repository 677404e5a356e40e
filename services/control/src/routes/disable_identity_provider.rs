//! `POST /identity-providers/{provider}/disable`

use axum::Json;
use axum::extract::State;
use updraft_api::sign_in::IdentityProviderView;
use updraft_app::App;
use updraft_model::ProviderId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Disable an identity provider
///
/// Whoever signed in through it is signed out. The last way in for owners stays. For owners of the organisation.
#[utoipa::path(post, path = "/identity-providers/{provider}/disable", tag = "sign-in", operation_id = "disable_identity_provider",
    params(("provider" = ProviderId, Path, description = "The identity provider"), ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    responses((status = 200, description = "The identity provider", body = IdentityProviderView)))]
pub(super) async fn disable_identity_provider(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(provider): ApiPath<ProviderId>,
) -> ApiResult<Json<IdentityProviderView>> {
    Ok(Json(app.disable_identity_provider(&actor, provider).await?))
}
