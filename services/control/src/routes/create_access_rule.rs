//! `POST /access-rules`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::access::{AccessRuleView, NewAccessRule};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller};

/// Create an access rule
///
/// Gives a role to whoever the identity provider or the directory says belongs to a group, a domain or an address, on
/// clusters by id or tag. Rules only give; the highest role wins. For owners of the organisation.
#[utoipa::path(post, path = "/access-rules", tag = "access", operation_id = "create_access_rule",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = NewAccessRule, responses((status = 201, description = "The rule", body = AccessRuleView)))]
pub(super) async fn create_access_rule(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<NewAccessRule>,
) -> ApiResult<(StatusCode, Json<AccessRuleView>)> {
    let rule = app.create_access_rule(&actor, body).await?;
    Ok((StatusCode::CREATED, Json(rule)))
}
