//! What agents ask of control and tell it, on the internal listener under `/agent/v1`. Reports are untrusted input: they
//! say how a node is, never where it is or what it may do.

mod assignment;
mod certificate;
mod changes;
mod identity;
mod places;
mod register;
mod report;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use updraft_authz::PublicKey;
use updraft_model::ClusterId;
use updraft_runtimes::Catalogue;
use updraft_store::Store;
use updraft_store::secrets::MasterKey;

pub use certificate::{CertificateError, ClusterCa};
pub use changes::Changes;
pub use places::Places;

use crate::reconciler::Liveness;
use report::Heard;

/// A report of a node with every service is some 10 KB.
const LARGEST_BODY: usize = 256 * 1024;

/// What the endpoints share.
pub struct AgentsState {
    pub store: Store,
    pub master_key: Arc<MasterKey>,
    pub catalogue: Arc<Catalogue>,
    pub places: Arc<dyn Places>,
    /// Verify what edges say of people.
    pub airflow_keys: Vec<PublicKey>,
    pub base_url: Box<dyn Fn(ClusterId) -> String + Send + Sync>,
    pub liveness: Arc<Liveness>,
    pub changes: Changes,
    pub heard: Heard,
}

pub fn router(state: AgentsState) -> Router {
    let state = Arc::new(state);
    let known = Router::new()
        .route("/agent/v1/assignment", get(assignment::get))
        .route("/agent/v1/report", post(report::post))
        .layer(middleware::from_fn_with_state(state.clone(), identity::require_node));
    Router::new()
        .route("/agent/v1/register", post(register::post))
        .merge(known)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(state)
}
