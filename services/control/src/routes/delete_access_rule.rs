//! `DELETE /access-rules/{rule}`

use axum::extract::State;
use axum::http::StatusCode;
use updraft_app::App;
use updraft_model::RuleId;

use crate::rest::{ApiPath, ApiResult, Caller};

/// Delete an access rule
///
/// Whoever had a role by it alone loses it, at edges and in open streams within seconds. For owners of the organisation.
#[utoipa::path(delete, path = "/access-rules/{rule}", tag = "access", operation_id = "delete_access_rule",
    params(("rule" = RuleId, Path, description = "The rule")),
    responses((status = 204, description = "The rule is gone")))]
pub(super) async fn delete_access_rule(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(rule): ApiPath<RuleId>,
) -> ApiResult<StatusCode> {
    app.delete_access_rule(&actor, rule).await?;
    Ok(StatusCode::NO_CONTENT)
}
