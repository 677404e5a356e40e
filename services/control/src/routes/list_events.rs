//! `GET /clusters/{id}/events`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use updraft_api::rest::{EventView, Page};
use updraft_app::{App, EventRange};
use updraft_model::{ClusterId, EventId};
use utoipa::IntoParams;

use crate::rest::{ApiPath, ApiQuery, ApiResult, Caller};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Range {
    /// Events after this one, oldest first.
    after: Option<EventId>,
    /// Events before this one, newest first: the `next` of the page before.
    before: Option<EventId>,
    /// 1 to 200 events; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// List past events
///
/// Newest first, unless `after` is given.
#[utoipa::path(get, path = "/clusters/{id}/events", tag = "events", operation_id = "list_events",
    params(("id" = ClusterId, Path, description = "The cluster"), Range),
    responses((status = 200, description = "A page of events", body = Page<EventView>)))]
pub(super) async fn list_events(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    ApiQuery(Range { after, before, limit }): ApiQuery<Range>,
) -> ApiResult<Json<Page<EventView>>> {
    Ok(Json(
        app.list_events(&actor, Some(id), EventRange { after, before, limit })
            .await?,
    ))
}
