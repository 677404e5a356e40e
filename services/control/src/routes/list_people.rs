//! `GET /people`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::{Page, Person};
use updraft_app::App;

use crate::rest::{ApiQuery, ApiResult, Caller, PageQuery};

/// List people
///
/// For owners of the organisation.
#[utoipa::path(get, path = "/people", tag = "people", operation_id = "list_people", params(PageQuery),
    responses((status = 200, description = "A page of people", body = Page<Person>)))]
pub(super) async fn list_people(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> ApiResult<Json<Page<Person>>> {
    Ok(Json(app.list_people(&actor, page.into()).await?))
}
