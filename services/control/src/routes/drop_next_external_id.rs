//! `DELETE /aws-accounts/{account}/next-external-id`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::AwsAccountName;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Forget an AWS account's next external id
///
/// The present one stays. For owners of the organisation.
#[utoipa::path(delete, path = "/aws-accounts/{account}/next-external-id", tag = "aws-accounts", operation_id = "drop_next_external_id",
    params(("account" = AwsAccountName, Path, description = "The account's name")),
    responses((status = 204, description = "It is forgotten")))]
pub(super) async fn drop_next_external_id(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(name): ApiPath<AwsAccountName>,
) -> ApiResult<StatusCode> {
    app.drop_next_external_id(&actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
