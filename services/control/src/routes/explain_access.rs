//! `GET /clusters/{id}/access`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use updraft_api::access::AccessExplanation;
use updraft_app::App;
use updraft_model::{ClusterId, UserId};
use utoipa::IntoParams;

use crate::rest::{ApiPath, ApiQuery, ApiResult, Caller};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct About {
    /// Whom to explain; yourself when it is absent.
    user: Option<UserId>,
}

/// Explain access
///
/// Why somebody may use the cluster, or may not: every reason, the one that decides, and what does not match. About
/// oneself for everybody with a role on the cluster, about others for its admins.
#[utoipa::path(get, path = "/clusters/{id}/access", tag = "access", operation_id = "explain_access",
    params(("id" = ClusterId, Path, description = "The cluster"), About),
    responses((status = 200, description = "The role and its reasons", body = AccessExplanation)))]
pub(super) async fn explain_access(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    ApiQuery(About { user }): ApiQuery<About>,
) -> ApiResult<Json<AccessExplanation>> {
    Ok(Json(app.explain_access(&actor, id, user).await?))
}
