//! `GET /aws-accounts`

use axum::Json;
use axum::extract::State;
use updraft_api::aws_accounts::AwsAccountView;
use updraft_api::rest::Page;
use updraft_app::App;

use crate::rest::{ApiQuery, ApiResult, Caller, PageQuery};

/// List AWS accounts
///
/// The organisation's own accounts, in which its clusters' nodes may be. For owners of the organisation.
#[utoipa::path(get, path = "/aws-accounts", tag = "aws-accounts", operation_id = "list_aws_accounts",
    params(PageQuery),
    responses((status = 200, description = "A page of AWS accounts", body = Page<AwsAccountView>)))]
pub(super) async fn list_aws_accounts(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> ApiResult<Json<Page<AwsAccountView>>> {
    Ok(Json(app.list_aws_accounts(&actor, page.into()).await?))
}
