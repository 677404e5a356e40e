//! `POST /clusters/{id}/services/{service}/{verb}`

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use updraft_api::rest::{Accepted, ServiceVerb};
use updraft_app::App;
use updraft_model::{ClusterId, NodeId, ServiceName};
use utoipa::IntoParams;

use crate::rest::{ApiPath, ApiQuery, ApiResult, Caller, accepted};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Where {
    /// Only on this node; on all that have the service when absent.
    node: Option<NodeId>,
}

/// Start, stop or restart one service
///
/// A stopped service stays stopped until it, or the whole cluster, is started again.
#[utoipa::path(post, path = "/clusters/{id}/services/{service}/{verb}", tag = "services",
    operation_id = "change_service",
    params(
        ("id" = ClusterId, Path, description = "The cluster"),
        ("service" = ServiceName, Path, description = "The service"),
        ("verb" = ServiceVerb, Path, description = "What to do"),
        Where,
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
    ),
    responses((status = 202, description = "Accepted", body = Accepted)))]
pub(super) async fn change_service(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiPath((id, service, verb)): ApiPath<(ClusterId, ServiceName, ServiceVerb)>,
    ApiQuery(Where { node }): ApiQuery<Where>,
) -> ApiResult<Response> {
    Ok(accepted(
        app.change_service(&actor, id, service, node, verb).await?,
    ))
}
