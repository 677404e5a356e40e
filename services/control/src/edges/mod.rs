//! What edges ask of control, on the internal listener under `/edge/v1`.

mod cluster_uses;
mod effective;
mod ended;
mod handover;
mod picture;
mod refusals;
mod route;
mod snapshot;
mod table;
mod token_uses;
mod tunnel_certificate;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, post};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use updraft_app::App;

pub use picture::Picture;
pub use table::{SnapshotSettings, keep_current};

use crate::internal::bearer;
use crate::protocol;
use crate::tunnels::Tunnels;

/// What the endpoints share.
pub struct EdgesState {
    pub app: App,
    /// The installation's edges prove themselves by it.
    pub edge_token: SecretString,
    pub snapshot: watch::Receiver<Option<Arc<Picture>>>,
    /// None: edges reach web nodes directly.
    pub tunnels: Option<Arc<Tunnels>>,
}

pub fn router(state: EdgesState) -> Router {
    let state = Arc::new(state);
    Router::new()
        .route("/edge/v1/snapshot", get(snapshot::get))
        .route("/edge/v1/edges/{edge}", delete(ended::forget))
        .route("/edge/v1/handover", post(handover::redeem))
        .route("/edge/v1/token-uses", post(token_uses::note))
        .route("/edge/v1/cluster-uses", post(cluster_uses::note))
        .route("/edge/v1/refusals", post(refusals::note))
        .route("/edge/v1/tunnel-certificate", post(tunnel_certificate::issue))
        .layer(middleware::from_fn(protocol::compare))
        .layer(middleware::from_fn_with_state(state.clone(), require_edge))
        .layer(middleware::from_fn(protocol::say))
        .with_state(state)
}

async fn require_edge(
    State(state): State<Arc<EdgesState>>,
    request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let given = bearer(request.headers()).ok_or(StatusCode::UNAUTHORIZED)?;
    // Digests are compared, so that the time taken says nothing of the token.
    if Sha256::digest(given) == Sha256::digest(state.edge_token.expose_secret()) {
        Ok(next.run(request).await)
    } else {
        Err(StatusCode::UNAUTHORIZED)
    }
}
