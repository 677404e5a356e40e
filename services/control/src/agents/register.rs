//! `POST /agent/v1/register`: the single-use bootstrap token for a node's identity and certificate.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use updraft_api::agent::{Register, Registered};
use updraft_model::Protocol;
use updraft_store::node_identity;
use updraft_store::{StoreError, node_agents, secrets};

use super::AgentsState;
use super::certificate::{NodeCertificate, RENEW_AFTER_S};
use super::identity::TITLE;
use crate::internal::unavailable;
use crate::protocol;

pub(super) async fn post(
    State(state): State<Arc<AgentsState>>,
    Json(request): Json<Register>,
) -> Result<Json<Registered>, Response> {
    if let Err(apart) = Protocol(request.protocol).meet() {
        return Err(protocol::refuse(TITLE, apart));
    }
    register(&state, &request)
        .await
        .map(Json)
        .map_err(IntoResponse::into_response)
}

async fn register(state: &AgentsState, request: &Register) -> Result<Registered, StatusCode> {
    let node_token = secrets::random_token();
    let bootstrap_hash = Sha256::digest(request.bootstrap_token.expose_secret());
    let identity_hash = Sha256::digest(node_token.expose_secret());
    let instance = request.instance.as_deref().filter(|_| state.instances);
    if state.instances && instance.is_none() {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let mut transaction = state.desk.store.begin().await.map_err(unavailable)?;
    let identity = node_identity::redeem_bootstrap(
        &mut transaction,
        request.node,
        &bootstrap_hash,
        &identity_hash,
        instance,
    );
    let identity = identity.await.map_err(refuse)?;
    let identity = identity.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let protocol = Protocol(request.protocol);
    let noted = node_agents::record(&mut transaction, identity.node, protocol, None).await;
    noted.map_err(unavailable)?;
    let ca = state.cluster_ca(&mut transaction, identity.cluster).await?;
    let now = request.renews.then(Utc::now);
    let NodeCertificate { cert_pem, key_pem } = ca
        .issue(identity.cluster, identity.role, now)
        .map_err(unavailable)?;
    transaction.commit().await.map_err(unavailable)?;
    tracing::info!(node.id = %identity.node, cluster.id = %identity.cluster, role = %identity.role, "node registered");
    Ok(Registered {
        node_token,
        ca_pem: ca.cert_pem,
        cert_pem,
        key_pem,
        renew_after_s: now.map(|_| RENEW_AFTER_S),
    })
}

/// A wrong, used or expired token, or another instance: the same answer for all four.
fn refuse(error: StoreError) -> StatusCode {
    match error {
        StoreError::Missing { .. } => StatusCode::UNAUTHORIZED,
        other => unavailable(other),
    }
}
