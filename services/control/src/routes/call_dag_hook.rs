//! `POST /hooks/dags/{hook}`

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use updraft_app::{App, HookProof};
use updraft_model::DagHookId;

use crate::rest::{ApiPath, ApiResult, ClientAddress};

/// Tell that a DAG source has something new
///
/// For git servers: signed as GitHub does (`X-Hub-Signature-256`), or with the secret as GitLab sends it
/// (`X-Gitlab-Token`). The sources are looked at; nothing in the body is believed.
#[utoipa::path(post, path = "/hooks/dags/{hook}", tag = "dags", operation_id = "call_dag_hook", security(()),
    params(
        ("hook" = DagHookId, Path, description = "The webhook"),
        ("X-Hub-Signature-256" = Option<String>, Header, description = "`sha256=` and the body's HMAC in hex"),
        ("X-Gitlab-Token" = Option<String>, Header, description = "The webhook's secret"),
    ),
    request_body(content = serde_json::Value, description = "Whatever the git server sends, up to 256 KiB"),
    responses((status = 202, description = "The sources are looked at")))]
pub(super) async fn call_dag_hook(
    State(app): State<App>,
    ApiPath(hook): ApiPath<DagHookId>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<StatusCode> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signature = header("x-hub-signature-256").map(HookProof::Signature);
    let proof = signature.or_else(|| header("x-gitlab-token").map(HookProof::Token));
    app.call_dag_hook(hook, address, proof, &body).await?;
    Ok(StatusCode::ACCEPTED)
}
