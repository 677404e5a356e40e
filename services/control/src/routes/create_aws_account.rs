//! `POST /aws-accounts`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::aws_accounts::{AwsAccountView, NewAwsAccount};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller};

/// Begin with an AWS account
///
/// The answer has the external id that was generated for it, and the trust policy to give to a role in it. Which role that is,
/// and what nodes are, is said next. For owners of the organisation.
#[utoipa::path(post, path = "/aws-accounts", tag = "aws-accounts", operation_id = "create_aws_account",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = NewAwsAccount,
    responses((status = 201, description = "The AWS account", body = AwsAccountView)))]
pub(super) async fn create_aws_account(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<NewAwsAccount>,
) -> ApiResult<(StatusCode, Json<AwsAccountView>)> {
    let made = app.create_aws_account(&actor, body).await?;
    Ok((StatusCode::CREATED, Json(made)))
}
