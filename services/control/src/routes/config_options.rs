//! `GET /runtimes/{name}/config-options`

use axum::Json;
use axum::extract::State;
use updraft_api::rest::{ConfigOptionView, Page};
use updraft_app::App;

use crate::rest::{ApiPath, ApiResult, Caller};

/// List a runtime's options
///
/// Every option of its Airflow, and which of them Updraft manages; all on one page.
#[utoipa::path(get, path = "/runtimes/{name}/config-options", tag = "runtimes", operation_id = "list_config_options",
    params(("name" = String, Path, description = "The runtime, for example `airflow-3.3.2`")),
    responses((status = 200, description = "The options", body = Page<ConfigOptionView>)))]
pub(super) async fn list_config_options(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(name): ApiPath<String>,
) -> ApiResult<Json<Page<ConfigOptionView>>> {
    Ok(Json(Page {
        items: app.config_options(&actor, &name)?,
        next: None,
    }))
}
