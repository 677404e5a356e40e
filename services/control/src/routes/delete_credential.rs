//! `DELETE /credentials/{credential}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::CredentialName;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Delete a credential
///
/// 409 while a cluster names it. For owners of the organisation.
#[utoipa::path(delete, path = "/credentials/{credential}", tag = "credentials", operation_id = "delete_credential",
    params(("credential" = CredentialName, Path, description = "The credential's name")),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_credential(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(name): ApiPath<CredentialName>,
) -> ApiResult<StatusCode> {
    app.delete_credential(&actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
