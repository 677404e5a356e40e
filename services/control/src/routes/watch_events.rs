//! `GET /events`

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use updraft_api::rest::EventView;
use updraft_app::AppError;
use updraft_model::{ClusterId, EventId};
use utoipa::IntoParams;

use crate::rest::{ApiQuery, ApiResult, Caller, RestState};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies and clients take a silent connection for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only this cluster's events.
    cluster: Option<ClusterId>,
}

/// Follow events
///
/// Server-sent events as they happen; with `Last-Event-ID` from after that one. Ends with the session.
#[utoipa::path(get, path = "/events", tag = "events", operation_id = "watch_events",
    params(Filter, ("Last-Event-ID" = Option<EventId>, Header, description = "The last event that was seen")),
    responses((status = 200, description = "Events", body = EventView, content_type = "text/event-stream")))]
pub(super) async fn watch_events(
    State(state): State<RestState>,
    Caller(actor): Caller,
    ApiQuery(Filter { cluster }): ApiQuery<Filter>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let events = state
        .app
        .watch_events(&actor, cluster, last_seen(&headers)?)
        .await?;
    let open =
        stream::once(async { Ok::<_, Infallible>(Event::default().retry(RECONNECT_AFTER).comment("open")) });
    let events = open
        .chain(events.map(|event| Ok(sse(&event))))
        .take_until(state.shutdown.cancelled_owned());
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response())
}

fn last_seen(headers: &HeaderMap) -> Result<Option<EventId>, AppError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let seen = value.to_str().ok().and_then(|text| text.parse().ok());
    seen.map(Some).ok_or_else(|| AppError::Invalid {
        field: "Last-Event-ID".to_owned(),
        why: "send the `id` of an event as it came".to_owned(),
    })
}

fn sse(event: &EventView) -> Event {
    let with_id = Event::default().id(event.id.to_string());
    // An event of ours is always JSON; should it not be, its id still moves the reader on.
    let fallback = Event::default().id(event.id.to_string());
    with_id.json_data(event).unwrap_or(fallback)
}
