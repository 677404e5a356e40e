//! Where a node's agent ships logs to: the cluster's own bucket or its tenant's, by the agent's own hand.

use updraft_api::agent::LogDelivery;

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
        foreign: place.foreign,
        outbound_allow: match place.foreign {
            true => inputs.dags.outbound_allow.clone(),
            false => Vec::new(),
        },
        node_name: node_name(inputs),
        disk_bytes: inputs.log_disk_bytes,
    }
}

/// `worker-1-d41f6c1a09b2`: a replacement has the same label, and logs of its own.
fn node_name(inputs: &AssignmentInputs<'_>) -> String {
    let id = inputs.node.to_string().replace('-', "");
    let short = id.get(id.len().saturating_sub(12)..).unwrap_or(&id);
    format!("{}-{}-{short}", inputs.role, inputs.ordinal)
}
