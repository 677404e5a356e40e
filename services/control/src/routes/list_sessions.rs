//! `GET /sessions`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use updraft_api::rest::Page;
use updraft_api::tokens::SessionView;
use updraft_app::{App, PageRequest};
use updraft_model::UserId;
use utoipa::IntoParams;

use crate::rest::{ApiQuery, ApiResult, Caller};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Somebody else's, for owners of the organisation.
    user: Option<UserId>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 unless told.
    limit: Option<u32>,
}

/// List sessions
///
/// One's own in this organisation that go on, the newest first. Takes a session.
#[utoipa::path(get, path = "/sessions", tag = "sign-in", operation_id = "list_sessions", params(Filter),
    responses((status = 200, description = "A page of sessions", body = Page<SessionView>)))]
pub(super) async fn list_sessions(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(Filter { user, cursor, limit }): ApiQuery<Filter>,
) -> ApiResult<Json<Page<SessionView>>> {
    let page = PageRequest { cursor, limit };
    Ok(Json(app.list_sessions(&actor, user, page).await?))
}
