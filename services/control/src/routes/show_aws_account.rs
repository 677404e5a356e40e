//! `GET /aws-accounts/{account}`

use axum::Json;
use axum::extract::State;
use updraft_api::aws_accounts::AwsAccountView;
use updraft_app::App;
use updraft_model::AwsAccountName;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Show an AWS account
///
/// For owners of the organisation.
#[utoipa::path(get, path = "/aws-accounts/{account}", tag = "aws-accounts", operation_id = "show_aws_account",
    params(("account" = AwsAccountName, Path, description = "The account's name")),
    responses((status = 200, description = "The AWS account", body = AwsAccountView)))]
pub(super) async fn show_aws_account(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(name): ApiPath<AwsAccountName>,
) -> ApiResult<Json<AwsAccountView>> {
    Ok(Json(app.show_aws_account(&actor, &name).await?))
}
