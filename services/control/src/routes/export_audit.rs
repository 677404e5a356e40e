//! `GET /audit.ndjson`

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use updraft_api::audit::{AuditEntry, AuditOf};
use updraft_app::App;
use updraft_app::audit::AuditFilter;
use updraft_model::AuditOutcome;
use utoipa::IntoParams;

use crate::rest::{ApiQuery, ApiResult, Caller};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// `installation`: what is nobody's in particular, for operators.
    of: Option<AuditOf>,
    /// An actor's id, or their whole name.
    actor: Option<String>,
    /// How the action begins: `cluster.` for all that is done to clusters.
    action: Option<String>,
    outcome: Option<AuditOutcome>,
    /// `cluster:7`, or the whole name of what it was done to.
    target: Option<String>,
    /// At or after this time.
    since: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
}

/// Export the audit log
///
/// All of it as one stream, oldest first, a JSON object a line. For owners of the organisation.
#[utoipa::path(get, path = "/audit.ndjson", tag = "audit", operation_id = "export_audit", params(Query),
    responses((status = 200, description = "Lines", body = AuditEntry, content_type = "application/x-ndjson")))]
pub(super) async fn export_audit(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(query): ApiQuery<Query>,
) -> ApiResult<Response> {
    let of = query.of.unwrap_or_default();
    let filter = AuditFilter {
        actor: query.actor,
        action: query.action,
        outcome: query.outcome,
        target: query.target,
        since: query.since,
        until: query.until,
    };
    let lines = app.export_audit(&actor, of, filter).await?;
    // Many lines a chunk: a chunk each would cost more than the lines.
    let chunks = lines
        .map_err(std::io::Error::other)
        .map(|line| line.and_then(|line| text(&line)));
    let chunks = chunks.ready_chunks(100).map(|lines| {
        let lines: Result<Vec<_>, _> = lines.into_iter().collect();
        lines.map(|lines| Bytes::from(lines.concat()))
    });
    let mut response = Body::from_stream(chunks).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    let name = HeaderValue::from_static("attachment; filename=\"audit.ndjson\"");
    headers.insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

fn text(line: &AuditEntry) -> std::io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text)
}
