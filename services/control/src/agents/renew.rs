//! `POST /agent/v1/certificate`: another certificate for a node that is known, before its own ends or after.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use chrono::Utc;
use secrecy::ExposeSecret as _;
use updraft_api::agent::NodeCertificate;
use updraft_store::node_identity::NodeIdentity;
use updraft_store::{PgConnection, secrets};

use super::AgentsState;
use super::certificate::{ClusterCa, RENEW_AFTER_S};
use crate::internal::unavailable;
use crate::reconciler::secret;

pub(super) async fn post(
    State(state): State<Arc<AgentsState>>,
    Extension(identity): Extension<NodeIdentity>,
) -> Result<Json<NodeCertificate>, StatusCode> {
    let mut connection = state.desk.store.connection().await.map_err(unavailable)?;
    let ca = cluster_ca(&state, &mut connection, &identity).await?;
    drop(connection);
    let made = ca
        .issue(identity.cluster, identity.role, Some(Utc::now()))
        .map_err(unavailable)?;
    Ok(Json(NodeCertificate {
        ca_pem: ca.cert_pem,
        cert_pem: made.cert_pem,
        key_pem: made.key_pem,
        renew_after_s: RENEW_AFTER_S,
    }))
}

pub(super) async fn cluster_ca(
    state: &AgentsState,
    connection: &mut PgConnection,
    identity: &NodeIdentity,
) -> Result<ClusterCa, StatusCode> {
    let mut read = async |name: &str| {
        secrets::get(connection, &state.desk.master_key, identity.cluster, name)
            .await
            .map_err(unavailable)?
            .ok_or(StatusCode::SERVICE_UNAVAILABLE)
    };
    let cert_pem = read(secret::CA_CERTIFICATE).await?.expose_secret().to_owned();
    let key_pem = read(secret::CA_KEY).await?;
    Ok(ClusterCa { cert_pem, key_pem })
}
