//! `DELETE /domains/{domain}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Remove a domain
///
/// For owners of the organisation.
#[utoipa::path(delete, path = "/domains/{domain}", tag = "sign-in", operation_id = "remove_domain",
    params(("domain" = String, Path, description = "The domain"),),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn remove_domain(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(domain): ApiPath<String>,
) -> ApiResult<StatusCode> {
    app.remove_domain(&actor, &domain).await?;
    Ok(StatusCode::NO_CONTENT)
}
