//! `GET /agent/v1/assignment?after=<version>`: what the node is to be, as soon as it differs from what it knows.

use std::sync::Arc;

use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::Json;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};
use updraft_api::agent::Assignment;
use updraft_model::{ClusterId, ServiceName};
use updraft_store::assignments::{self, AssignmentRows};
use updraft_store::node_identity::{self, NodeIdentity};
use updraft_store::{PgConnection, secrets};

use super::AgentsState;
use crate::assignments::{AssignmentInputs, ClusterSecrets, NodePlace, Peer, render};
use crate::internal::{LONG_POLL, unavailable};
use crate::reconciler::secret_names;

#[derive(Deserialize)]
pub(super) struct After {
    #[serde(default)]
    after: i64,
}

/// 200 with an assignment, or 204 when nothing changed for 25 s.
pub(super) async fn get(
    State(state): State<Arc<AgentsState>>,
    Extension(identity): Extension<NodeIdentity>,
    Query(query): Query<After>,
) -> Result<Response, StatusCode> {
    let deadline = Instant::now() + LONG_POLL;
    let mut changes = state.changes.clone();
    loop {
        if let Some(assignment) = current(&state, identity).await?
            && assignment.version > query.after
        {
            return Ok(Json(assignment).into_response());
        }
        if timeout_at(deadline, changes.next()).await.is_err() {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
}

/// None while something it is made of is not there yet.
async fn current(state: &AgentsState, identity: NodeIdentity) -> Result<Option<Assignment>, StatusCode> {
    let mut transaction = state.store.begin().await.map_err(unavailable)?;
    let rows = assignments::rows(&mut transaction, identity.node).await.map_err(unavailable)?;
    let Some(rows) = rows else { return Ok(None) };
    let Some(secrets) = cluster_secrets(state, &mut transaction, identity.cluster).await? else { return Ok(None) };
    let Some(mut assignment) = rendered(state, identity, &rows, &secrets)? else { return Ok(None) };
    let digest = serde_json::to_vec(&assignment).map(Sha256::digest).map_err(unavailable)?;
    assignment.version = node_identity::assignment_version(&mut transaction, identity.node, &digest)
        .await
        .map_err(unavailable)?;
    transaction.commit().await.map_err(unavailable)?;
    Ok(Some(assignment))
}

fn rendered(
    state: &AgentsState,
    identity: NodeIdentity,
    rows: &AssignmentRows,
    secrets: &ClusterSecrets,
) -> Result<Option<Assignment>, StatusCode> {
    let Some(runtime) = state.catalogue.get(&rows.spec.runtime) else { return Ok(None) };
    let Some(environment_dir) = state.places.environment_dir(runtime.name()) else { return Ok(None) };
    let Some(address) = rows.address.clone() else { return Ok(None) };
    let peers: Vec<_> =
        rows.peers.iter().map(|(role, address)| Peer { role: *role, address: address.clone() }).collect();
    let storage = state.places.storage(identity.cluster);
    let inputs = AssignmentInputs {
        cluster: identity.cluster,
        generation: rows.generation,
        spec: &rows.spec,
        node: identity.node,
        role: identity.role,
        run: rows.run,
        place: NodePlace {
            address,
            node_dir: state.places.node_dir(identity.node),
            shared_dir: state.places.shared_dir(identity.cluster),
            environment_dir,
            broker_binary: state.places.broker_binary(),
        },
        peers: &peers,
        secrets,
        storage: &storage,
        airflow_keys: &state.airflow_keys,
        base_url: (state.base_url)(identity.cluster),
        restart_nonce: &|service: ServiceName| {
            rows.restart_nonce + rows.wishes.on(service, identity.node).restart_nonce
        },
        enabled: &|service: ServiceName| rows.wishes.on(service, identity.node).enabled,
    };
    render(runtime, &inputs).map(Some).map_err(unavailable)
}

async fn cluster_secrets(
    state: &AgentsState,
    connection: &mut PgConnection,
    cluster: ClusterId,
) -> Result<Option<ClusterSecrets>, StatusCode> {
    let mut found = Vec::with_capacity(4);
    for name in
        [secret_names::DSN, secret_names::FERNET_KEY, secret_names::JWT_SECRET, secret_names::BROKER_PASSWORD]
    {
        let secret = secrets::get(connection, &state.master_key, cluster, name).await.map_err(unavailable)?;
        found.push(secret);
    }
    let mut found = found.into_iter().flatten();
    Ok((|| {
        Some(ClusterSecrets {
            dsn: found.next()?,
            fernet_key: found.next()?,
            jwt_secret: found.next()?,
            broker_password: found.next()?,
        })
    })())
}
