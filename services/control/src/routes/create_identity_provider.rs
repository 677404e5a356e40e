//! `POST /identity-providers`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::sign_in::{IdentityProviderView, NewIdentityProvider};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller};

/// Set up an identity provider
///
/// It signs nobody in until it was tested and enabled. For owners of the organisation.
#[utoipa::path(post, path = "/identity-providers", tag = "sign-in", operation_id = "create_identity_provider",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),),
    request_body = NewIdentityProvider,
    responses((status = 201, description = "The identity provider", body = IdentityProviderView)))]
pub(super) async fn create_identity_provider(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<NewIdentityProvider>,
) -> ApiResult<(StatusCode, Json<IdentityProviderView>)> {
    Ok((
        StatusCode::CREATED,
        Json(app.create_identity_provider(&actor, body).await?),
    ))
}
