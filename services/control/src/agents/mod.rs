//! What agents ask of control and tell it, on the internal listener under `/agent/v1`. Reports are untrusted input: they
//! say how a node is, never where it is or what it may do.

mod assignment;
mod certificate;
mod changes;
mod environment;
mod identities;
mod identity;
mod register;
mod release;
mod renew;
mod report;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use secrecy::ExposeSecret as _;
use updraft_model::ClusterId;
use updraft_store::{PgConnection, secrets};

pub use certificate::{CertificateError, ClusterCa};
pub use changes::follow;
pub use identities::Identities;
pub use release::{AgentArchive, AgentRelease};

use crate::assignments::Desk;
use crate::environments::Environments;
use crate::internal::unavailable;
use crate::protocol;
use crate::reconciler::{Reports, secret};

/// A report of a node with every service is some 10 KB.
const LARGEST_BODY: usize = 256 * 1024;

/// What the endpoints share.
pub struct AgentsState {
    pub desk: Arc<Desk>,
    pub reports: Reports,
    pub environments: Environments,
    /// Of those who ask; somebody has to [keep them true](Identities::keep_true).
    pub identities: Arc<Identities>,
    /// Nodes are instances: one introduces itself with the id that its provider gave it.
    pub instances: bool,
    /// None: nodes run whichever agent they came with.
    pub agent: Option<AgentRelease>,
}

pub fn router(state: AgentsState) -> Router {
    let state = Arc::new(state);
    let known = Router::new()
        .route("/agent/v1/assignment", get(assignment::get))
        .route("/agent/v1/report", post(report::post))
        .route("/agent/v1/certificate", post(renew::post))
        .route("/agent/v1/environments/{digest}", get(environment::get))
        .route("/agent/v1/agent/{release}", get(release::get))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            identity::require_node,
        ));
    Router::new()
        .route("/agent/v1/register", post(register::post))
        .layer(middleware::from_fn(protocol::compare))
        .merge(known)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn(protocol::say))
        .with_state(state)
}

// === impl AgentsState ===

impl AgentsState {
    /// As it is on record: what a node's certificate is signed with.
    async fn cluster_ca(
        &self,
        connection: &mut PgConnection,
        cluster: ClusterId,
    ) -> Result<ClusterCa, StatusCode> {
        let mut read = async |name: &str| {
            secrets::get(connection, &self.desk.master_key, cluster, name)
                .await
                .map_err(unavailable)?
                .ok_or(StatusCode::SERVICE_UNAVAILABLE)
        };
        let cert_pem = read(secret::CA_CERTIFICATE).await?.expose_secret().to_owned();
        let key_pem = read(secret::CA_KEY).await?;
        Ok(ClusterCa { cert_pem, key_pem })
    }
}
