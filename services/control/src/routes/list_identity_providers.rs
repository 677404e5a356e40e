//! `GET /identity-providers`

use axum::Json;
use axum::extract::State;
use updraft_api::sign_in::IdentityProviders;
use updraft_app::App;

use crate::rest::{ApiResult, Caller};

/// List identity providers
///
/// For owners of the organisation.
#[utoipa::path(get, path = "/identity-providers", tag = "sign-in", operation_id = "list_identity_providers",
    responses((status = 200, description = "All of them", body = IdentityProviders)))]
pub(super) async fn list_identity_providers(
    State(app): State<App>,
    Caller(actor): Caller,
) -> ApiResult<Json<IdentityProviders>> {
    Ok(Json(app.list_identity_providers(&actor).await?))
}
