//! `PUT /aws-accounts/{account}`

use axum::Json;
use axum::extract::State;
use updraft_api::aws_accounts::AwsAccountView;
use updraft_app::App;
use updraft_model::{AwsAccountConfig, AwsAccountName};

use crate::rest::{ApiJson, ApiPath, ApiResult, Caller};

/// Say what an AWS account is
///
/// Replaces all that was said of it; nodes that are there stay as they are. The role is tried first, and refused if it lets
/// Updraft in without the account's external id. For owners of the organisation.
#[utoipa::path(put, path = "/aws-accounts/{account}", tag = "aws-accounts", operation_id = "update_aws_account",
    params(("account" = AwsAccountName, Path, description = "The account's name")),
    request_body = AwsAccountConfig,
    responses((status = 200, description = "The AWS account", body = AwsAccountView)))]
pub(super) async fn update_aws_account(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(name): ApiPath<AwsAccountName>,
    ApiJson(body): ApiJson<AwsAccountConfig>,
) -> ApiResult<Json<AwsAccountView>> {
    Ok(Json(app.update_aws_account(&actor, &name, body).await?))
}
