//! `POST /service-accounts`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::tokens::{NewServiceAccount, ServiceAccountView};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller};

/// Make a service account
///
/// For owners of the organisation. Give it roles as you give them to people (`PUT /clusters/{id}/grants/{user}`), and
/// make it a token (`POST /tokens`).
#[utoipa::path(post, path = "/service-accounts", tag = "service accounts", operation_id = "create_service_account",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = NewServiceAccount,
    responses((status = 201, description = "The service account", body = ServiceAccountView)))]
pub(super) async fn create_service_account(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<NewServiceAccount>,
) -> ApiResult<(StatusCode, Json<ServiceAccountView>)> {
    let account = app.create_service_account(&actor, body).await?;
    Ok((StatusCode::CREATED, Json(account)))
}
