//! `GET /tokens`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::Page;
use updraft_api::tokens::TokenView;
use updraft_app::App;

use crate::rest::{ApiQuery, ApiResult, Caller, PageQuery};

/// List API tokens
///
/// One's own; for owners of the organisation everybody's, service accounts' included.
#[utoipa::path(get, path = "/tokens", tag = "tokens", operation_id = "list_tokens", params(PageQuery),
    responses((status = 200, description = "A page of tokens", body = Page<TokenView>)))]
pub(super) async fn list_tokens(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> ApiResult<Json<Page<TokenView>>> {
    Ok(Json(app.list_tokens(&actor, page.into()).await?))
}
