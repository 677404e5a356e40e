//! `GET /docs`

use axum::extract::State;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse};

use crate::rest::{DOCS_POLICY, RestState, docs_page};

/// The documentation as a page
#[utoipa::path(get, path = "/docs", tag = "server", operation_id = "docs",
    responses((status = 200, description = "HTML", content_type = "text/html")), security(()))]
pub(super) async fn docs(State(state): State<RestState>) -> impl IntoResponse {
    let document = serde_json::to_value(&*state.openapi).unwrap_or_default();
    (
        [(CONTENT_SECURITY_POLICY, DOCS_POLICY)],
        Html(docs_page(&document)),
    )
}
