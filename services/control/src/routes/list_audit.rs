//! `GET /audit`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::audit::{AuditEntry, AuditOf};
use updraft_api::rest::Page;
use updraft_app::audit::AuditFilter;
use updraft_app::{App, PageRequest};
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
    /// The `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200 lines; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// List the audit log
///
/// Newest first: every change and every sign-in, also those that were refused. For owners of the organisation.
#[utoipa::path(get, path = "/audit", tag = "audit", operation_id = "list_audit", params(Query),
    responses((status = 200, description = "A page of lines", body = Page<AuditEntry>)))]
pub(super) async fn list_audit(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(query): ApiQuery<Query>,
) -> ApiResult<Json<Page<AuditEntry>>> {
    let page = PageRequest {
        cursor: query.cursor,
        limit: query.limit,
    };
    let of = query.of.unwrap_or_default();
    let filter = AuditFilter {
        actor: query.actor,
        action: query.action,
        outcome: query.outcome,
        target: query.target,
        since: query.since,
        until: query.until,
    };
    Ok(Json(app.list_audit(&actor, of, &filter, page).await?))
}
