//! `GET /domains`

use axum::Json;
use axum::extract::State;
use updraft_api::sign_in::Domains;
use updraft_app::App;

use crate::rest::{ApiResult, Caller};

/// List domains
///
/// For owners of the organisation.
#[utoipa::path(get, path = "/domains", tag = "sign-in", operation_id = "list_domains",
    responses((status = 200, description = "All of them", body = Domains)))]
pub(super) async fn list_domains(State(app): State<App>, Caller(actor): Caller) -> ApiResult<Json<Domains>> {
    Ok(Json(app.list_domains(&actor).await?))
}
