//! `PUT /credentials/{credential}`

use axum::Json;
use axum::extract::State;
use updraft_api::dags::{CredentialView, ReplaceCredential};
use updraft_app::App;
use updraft_model::CredentialName;

use crate::rest::{ApiJson, ApiPath, ApiResult, Caller};

/// Replace a credential
///
/// Another secret under the same name: clusters that name it read with the new one at once. It stays of its kind. For
/// owners of the organisation.
#[utoipa::path(put, path = "/credentials/{credential}", tag = "credentials", operation_id = "replace_credential",
    params(("credential" = CredentialName, Path, description = "The credential's name")),
    request_body = ReplaceCredential,
    responses((status = 200, description = "The credential, without its secret", body = CredentialView)))]
pub(super) async fn replace_credential(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(name): ApiPath<CredentialName>,
    ApiJson(body): ApiJson<ReplaceCredential>,
) -> ApiResult<Json<CredentialView>> {
    Ok(Json(app.replace_credential(&actor, &name, body).await?))
}
