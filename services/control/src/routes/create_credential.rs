//! `POST /credentials`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::dags::{CredentialView, NewCredential};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller};

/// Keep a credential
///
/// Its secret is encrypted and never shown again; whoever may change a cluster may name it in a DAG source of its host. An
/// `ssh_key` without `secret` is made, and its public half is in the answer. For owners of the organisation.
#[utoipa::path(post, path = "/credentials", tag = "credentials", operation_id = "create_credential",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = NewCredential,
    responses((status = 201, description = "The credential, without its secret", body = CredentialView)))]
pub(super) async fn create_credential(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<NewCredential>,
) -> ApiResult<(StatusCode, Json<CredentialView>)> {
    let made = app.create_credential(&actor, body).await?;
    Ok((StatusCode::CREATED, Json(made)))
}
