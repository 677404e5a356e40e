//! `GET /clusters/{id}/logs/stream`

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use updraft_api::logs::{LogLine, LogQuery};
use updraft_model::ClusterId;

use crate::rest::{ApiPath, ApiQuery, ApiResult, Caller, RestState};

const LAST_EVENT_ID: &str = "last-event-id";
/// Proxies and clients take a silent connection for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Follow logs
///
/// Server-sent events, one a line, within seconds of its writing; with `Last-Event-ID` from after that line. Ends with the
/// session, or with the right to these logs.
#[utoipa::path(get, path = "/clusters/{id}/logs/stream", tag = "logs", operation_id = "watch_logs",
    params(("id" = ClusterId, Path, description = "The cluster"), LogQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The last line that was seen")),
    responses((status = 200, description = "Lines", body = LogLine, content_type = "text/event-stream")))]
pub(super) async fn watch_logs(
    State(state): State<RestState>,
    Caller(actor): Caller,
    ApiPath(id): ApiPath<ClusterId>,
    ApiQuery(query): ApiQuery<LogQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let last = last.map(str::to_owned);
    let lines = state.app.watch_logs(&actor, id, query, last).await?;
    let open =
        stream::once(async { Ok::<_, Infallible>(Event::default().retry(RECONNECT_AFTER).comment("open")) });
    let lines = lines.map(|told| {
        // A line of ours is always JSON; should it not be, its id still moves the reader on.
        let with_id = || Event::default().id(&told.id);
        Ok(with_id().json_data(&told.line).unwrap_or_else(|_| with_id()))
    });
    let events = open.chain(lines).take_until(state.shutdown.cancelled_owned());
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response())
}
