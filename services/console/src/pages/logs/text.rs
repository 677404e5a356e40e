//! What is asked for as a text file: the newest lines of it, in order of time.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::IntoResponse;
use chrono::Utc;
use updraft_api::logs::{LogLine, LogPage, LogQuery};
use updraft_model::ClusterId;

use super::Wanted;
use super::lines::name;
use crate::extract::{Asked, At};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;

const PAGE: u32 = 1000;
/// What one file holds at most: it is made in memory.
const MOST_LINES: usize = 10_000;
const MOST_BYTES: usize = 16 << 20;

pub(crate) async fn text(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Asked(asked): Asked<Wanted>,
) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let now = Utc::now();
    let query = asked.for_role(cluster.role).query(now)?;
    let (pages, all) = newest(&console, &visit, id, query).await?;
    let name = format!("{}-logs-{}.txt", cluster.name, now.format("%Y%m%dT%H%M%SZ"));
    let mut response = written(&pages, all).into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    headers.extend(disposition.ok().map(|value| (CONTENT_DISPOSITION, value)));
    Ok(response)
}

/// Pages from the newest on, and whether there is nothing before them.
async fn newest(
    console: &Console,
    visit: &Visit,
    id: ClusterId,
    query: LogQuery,
) -> Result<(Vec<LogPage>, bool), Refusal> {
    let (mut pages, mut cursor) = (Vec::new(), query.cursor.clone());
    let (mut lines, mut bytes) = (0, 0);
    while lines < MOST_LINES && bytes < MOST_BYTES {
        let asked = LogQuery {
            limit: Some(PAGE),
            cursor,
            ..query.clone()
        };
        let page = console.app.list_logs(&visit.actor, id, asked).await?;
        lines += page.lines.len();
        bytes += page.lines.iter().map(|line| line.text.len()).sum::<usize>();
        cursor = page.next.clone();
        pages.push(page);
        if cursor.is_none() {
            return Ok((pages, true));
        }
    }
    Ok((pages, false))
}

fn written(pages: &[LogPage], all: bool) -> String {
    let mut text = String::new();
    if !all {
        text.push_str("(older lines are left out: narrow the question, or use `updraft logs --since`)\n");
    }
    for line in pages.iter().rev().flat_map(|page| &page.lines) {
        text.push_str(&shown(line));
    }
    text
}

fn shown(line: &LogLine) -> String {
    let mut text = format!("{}  {}/", line.at.format("%Y-%m-%d %H:%M:%S%.3fZ"), line.node);
    text.push_str(&line.task.as_ref().map_or_else(|| line.service.clone(), name));
    if let Some(level) = line.level {
        let _ = write!(text, "  {}", level.as_str());
    }
    let cut = if line.cut { " …" } else { "" };
    let _ = writeln!(text, "  {}{cut}", line.text.replace('\n', "\n    "));
    text
}
