//! `POST /aws-accounts/{account}/next-external-id`

use axum::Json;
use axum::extract::State;
use updraft_api::aws_accounts::AwsAccountView;
use updraft_app::App;
use updraft_model::AwsAccountName;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Make an AWS account's next external id
///
/// Generated, and used for nothing yet: put it beside the present one in the role's trust policy, which comes back with both. If one waits
/// already, it is that one. For owners of the organisation.
#[utoipa::path(post, path = "/aws-accounts/{account}/next-external-id", tag = "aws-accounts", operation_id = "make_next_external_id",
    params(("account" = AwsAccountName, Path, description = "The account's name"), ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    responses((status = 200, description = "The AWS account", body = AwsAccountView)))]
pub(super) async fn make_next_external_id(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(name): ApiPath<AwsAccountName>,
) -> ApiResult<Json<AwsAccountView>> {
    Ok(Json(app.make_next_external_id(&actor, &name).await?))
}
