//! Lines as they are shipped, as HTML over server-sent events.
//!
//! A stream begins some seconds before the last line that its page has, for nodes ship at their own times: the browser
//! knows by their ids which lines it has. It ends with the right to read them, and says so.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use updraft_api::logs::LogLine;
use updraft_model::ClusterId;

use super::Wanted;
use super::lines::Lines;
use crate::extract::{Asked, At};
use crate::live::refused;
use crate::refusal::Refusal;
use crate::session::Visit;
use crate::state::Console;

/// What nodes' ways to the bucket may differ by: services ship after 3 s, after 4 s where many write at once.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);
/// Lines of one event.
const AT_ONCE: usize = 200;
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
pub(crate) struct From {
    /// Microseconds since 1970 of the last line that is there.
    from: Option<i64>,
}

pub(crate) async fn stream(
    State(console): State<Console>,
    At(id): At<ClusterId>,
    asked: Result<Asked<Wanted>, Refusal>,
    from: Result<Asked<From>, Refusal>,
    headers: HeaderMap,
    visit: Result<Visit, Refusal>,
) -> Response {
    let visit = match visit {
        Ok(visit) => visit,
        Err(refusal) => return refused(refusal),
    };
    let (Ok(Asked(asked)), Ok(Asked(from))) = (asked, from) else {
        return refused(Refusal::NoPage);
    };
    let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let seen = seen.and_then(|value| value.parse().ok()).or(from.from);
    match begin(&console, &visit, id, asked, seen).await {
        Ok(events) => Sse::new(events).keep_alive(KeepAlive::default()).into_response(),
        Err(refusal) => refused(refusal),
    }
}

async fn begin(
    console: &Console,
    visit: &Visit,
    id: ClusterId,
    asked: Wanted,
    seen: Option<i64>,
) -> Result<impl Stream<Item = Result<Event, Infallible>> + use<>, Refusal> {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let (asked, now) = (asked.for_role(cluster.role), Utc::now());
    let mut query = asked.query(now)?;
    let seen = seen.and_then(DateTime::from_timestamp_micros).unwrap_or(now);
    query.since = query.since.max(seen.checked_sub_signed(OVERLAP));
    let lines = console.app.watch_logs(&visit.actor, id, query, None).await?;
    Ok(told(asked, lines.map(|followed| followed.line).boxed()))
}

fn told(asked: Wanted, lines: BoxStream<'static, LogLine>) -> impl Stream<Item = Result<Event, Infallible>> {
    let open = Event::default().retry(RECONNECT_AFTER).comment("open");
    let ended = Event::default()
        .event("ended")
        .data("You are signed out, or your role here has changed. Reload the page.");
    let lines = lines
        .ready_chunks(AT_ONCE)
        .filter_map(move |lines| std::future::ready(event(&asked, &lines)));
    stream::once(async { open })
        .chain(lines)
        .chain(stream::once(async { ended }))
        .map(Ok)
}

fn event(asked: &Wanted, lines: &[LogLine]) -> Option<Event> {
    let html = Lines::of(asked, lines).render().ok()?;
    let last = lines.iter().map(|line| line.at).max()?;
    let event = Event::default()
        .event("lines")
        .id(last.timestamp_micros().to_string());
    Some(event.data(html.replace('\r', "")))
}
