//! `POST /aws-accounts/{account}/next-external-id/use`

use axum::Json;
use axum::extract::State;
use updraft_api::aws_accounts::AwsAccountView;
use updraft_app::App;
use updraft_model::AwsAccountName;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Use an AWS account's next external id
///
/// It takes the present one's place, which is forgotten, once AWS lets Updraft assume the role by it; 409 until then, and the present
/// one stays. For owners of the organisation.
#[utoipa::path(post, path = "/aws-accounts/{account}/next-external-id/use", tag = "aws-accounts", operation_id = "use_next_external_id",
    params(("account" = AwsAccountName, Path, description = "The account's name"), ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    responses((status = 200, description = "The AWS account", body = AwsAccountView)))]
pub(super) async fn use_next_external_id(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(name): ApiPath<AwsAccountName>,
) -> ApiResult<Json<AwsAccountView>> {
    Ok(Json(app.use_next_external_id(&actor, &name).await?))
}
