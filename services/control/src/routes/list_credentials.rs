//! `GET /credentials`

use axum::Json;
use axum::extract::State;
use updraft_api::dags::CredentialView;
use updraft_api::rest::Page;
use updraft_app::App;

use crate::rest::{ApiQuery, ApiResult, Caller, PageQuery};

/// List credentials
///
/// What clusters prove themselves with elsewhere, without secrets. For owners of the organisation.
#[utoipa::path(get, path = "/credentials", tag = "credentials", operation_id = "list_credentials",
    params(PageQuery),
    responses((status = 200, description = "A page of credentials", body = Page<CredentialView>)))]
pub(super) async fn list_credentials(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> ApiResult<Json<Page<CredentialView>>> {
    Ok(Json(app.list_credentials(&actor, page.into()).await?))
}
