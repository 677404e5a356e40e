//! `POST /domains/{domain}/check`

use axum::Json;
use axum::extract::State;
use updraft_api::sign_in::DomainView;
use updraft_app::App;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Look for a domain's record now
///
/// For owners of the organisation.
#[utoipa::path(post, path = "/domains/{domain}/check", tag = "sign-in", operation_id = "check_domain",
    params(("domain" = String, Path, description = "The domain"), ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    responses((status = 200, description = "The domain is proven", body = DomainView)))]
pub(super) async fn check_domain(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(domain): ApiPath<String>,
) -> ApiResult<Json<DomainView>> {
    Ok(Json(app.check_domain(&actor, &domain).await?))
}
