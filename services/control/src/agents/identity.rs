//! Who is asking: a node is known by its token alone.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest as _, Sha256};

use super::AgentsState;
use crate::internal::{bearer, unavailable};
use crate::protocol;

pub(super) const TITLE: &str = "This agent and control are too far apart.";

/// Puts the [`updraft_store::node_identity::NodeIdentity`] into the request, or refuses it with 401; 410 would tell a guesser that a
/// token was once good. Who is known and not understood is refused with 426, and lives: its services run, and are not to be
/// replaced for that.
pub(super) async fn require_node(
    State(state): State<Arc<AgentsState>>,
    mut request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let token = bearer(request.headers()).ok_or(StatusCode::UNAUTHORIZED)?;
    let hash = Sha256::digest(token).into();
    let identity = state.identities.find(&state.desk.store, &hash).await;
    let identity = identity.map_err(unavailable)?.ok_or(StatusCode::UNAUTHORIZED)?;
    if let Err(apart) = protocol::said(request.headers()).meet() {
        tracing::warn!(node.id = %identity.node, cluster.id = %identity.cluster, "an agent is not understood: {apart}");
        state.reports.hear_nothing_of(identity.node);
        return Ok(protocol::refuse(TITLE, apart));
    }
    request.extensions_mut().insert(identity);
    Ok(next.run(request).await)
}
