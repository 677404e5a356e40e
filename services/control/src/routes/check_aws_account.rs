//! `POST /aws-accounts/{account}/check`

use axum::Json;
use axum::extract::State;
use updraft_api::aws_accounts::AwsAccountCheck;
use updraft_app::App;
use updraft_model::AwsAccountName;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Check an AWS account
///
/// Asks AWS there whether nodes could start: role, image, subnets, groups, permissions. Takes seconds and makes nothing. For owners
/// of the organisation.
#[utoipa::path(post, path = "/aws-accounts/{account}/check", tag = "aws-accounts", operation_id = "check_aws_account",
    params(("account" = AwsAccountName, Path, description = "The account's name"), ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    responses((status = 200, description = "What was found", body = AwsAccountCheck)))]
pub(super) async fn check_aws_account(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(name): ApiPath<AwsAccountName>,
) -> ApiResult<Json<AwsAccountCheck>> {
    Ok(Json(app.check_aws_account(&actor, &name).await?))
}
