//! `POST /identity-providers/{provider}/test`

use axum::Json;
use axum::extract::State;
use updraft_api::sign_in::IdentityProviderView;
use updraft_app::App;
use updraft_model::ProviderId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Test an identity provider
///
/// All that can be known without a person signing in; a test sign-in is made in the console. For owners of the organisation.
#[utoipa::path(post, path = "/identity-providers/{provider}/test", tag = "sign-in", operation_id = "test_identity_provider",
    params(("provider" = ProviderId, Path, description = "The identity provider"), ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    responses((status = 200, description = "The identity provider with its test", body = IdentityProviderView)))]
pub(super) async fn test_identity_provider(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(provider): ApiPath<ProviderId>,
) -> ApiResult<Json<IdentityProviderView>> {
    Ok(Json(app.test_identity_provider(&actor, provider).await?))
}
