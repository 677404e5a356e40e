//! `DELETE /aws-accounts/{account}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::AwsAccountName;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Forget an AWS account
///
/// 409 while there are clusters in it. For owners of the organisation.
#[utoipa::path(delete, path = "/aws-accounts/{account}", tag = "aws-accounts", operation_id = "delete_aws_account",
    params(("account" = AwsAccountName, Path, description = "The account's name")),
    responses((status = 204, description = "It is forgotten")))]
pub(super) async fn delete_aws_account(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(name): ApiPath<AwsAccountName>,
) -> ApiResult<StatusCode> {
    app.delete_aws_account(&actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
