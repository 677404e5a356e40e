//! `PATCH /domains/{domain}`

use axum::Json;
use axum::extract::State;
use updraft_api::sign_in::{DomainView, UpdateDomain};
use updraft_app::App;

use crate::rest::{ApiJson, ApiPath, ApiResult, Caller};

/// Send a domain's people elsewhere
///
/// For owners of the organisation.
#[utoipa::path(patch, path = "/domains/{domain}", tag = "sign-in", operation_id = "update_domain",
    params(("domain" = String, Path, description = "The domain"),),
    request_body = UpdateDomain,
    responses((status = 200, description = "The domain", body = DomainView)))]
pub(super) async fn update_domain(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(domain): ApiPath<String>,
    ApiJson(body): ApiJson<UpdateDomain>,
) -> ApiResult<Json<DomainView>> {
    Ok(Json(app.update_domain(&actor, &domain, body).await?))
}
