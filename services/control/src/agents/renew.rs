//! `POST /agent/v1/certificate`: another certificate for a node that is known, before its own ends or after.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use chrono::Utc;
use updraft_api::agent::NodeCertificate;
use updraft_store::node_identity::NodeIdentity;

use super::AgentsState;
use super::certificate::RENEW_AFTER_S;
use crate::internal::unavailable;

pub(super) async fn post(
    State(state): State<Arc<AgentsState>>,
    Extension(identity): Extension<NodeIdentity>,
) -> Result<Json<NodeCertificate>, StatusCode> {
    let mut connection = state.desk.store.connection().await.map_err(unavailable)?;
    let ca = state.cluster_ca(&mut connection, identity.cluster).await?;
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
