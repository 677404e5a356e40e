//! Where a node's agent ships logs to: the cluster's own bucket or its tenant's, by the agent's own hand.

use secrecy::ExposeSecret as _;
use serde_json::json;
use updraft_api::agent::LogDelivery;
use updraft_app::LogPlace;

use super::AssignmentInputs;

pub(super) fn delivery(inputs: &AssignmentInputs<'_>) -> LogDelivery {
    let place = inputs.logs;
    LogDelivery {
        endpoint: place.access.endpoint.clone(),
        region: place.access.region.clone(),
        bucket: place.access.bucket.clone(),
        prefix: place.prefix.clone(),
        access_key: place.access.access_key.clone(),
        secret_key: place.access.secret_key.clone(),
        session_token: place.access.session_token.clone(),
        foreign: place.foreign,
        outbound_allow: match place.foreign {
            true => inputs.dags.outbound_allow.clone(),
            false => Vec::new(),
        },
        node_name: node_name(inputs),
        disk_bytes: inputs.log_disk_bytes,
    }
}

/// What the service that shows logs reads them with, by the names that boto3 has for it.
pub(super) fn keys(place: &LogPlace) -> String {
    let access = &place.access;
    let token = access.session_token.as_ref();
    json!({
        "aws_access_key_id": access.access_key,
        "aws_secret_access_key": access.secret_key.expose_secret(),
        "aws_session_token": token.map(|token| token.expose_secret()),
    })
    .to_string()
}

/// `worker-1-d41f6c1a09b2`: a replacement has the same label, and logs of its own.
fn node_name(inputs: &AssignmentInputs<'_>) -> String {
    let id = inputs.node.to_string().replace('-', "");
    let short = id.get(id.len().saturating_sub(12)..).unwrap_or(&id);
    format!("{}-{}-{short}", inputs.role, inputs.ordinal)
}
