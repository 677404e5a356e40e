//! Where a node's agent ships logs to: the cluster's own bucket, by the agent's own hand.

use updraft_api::agent::LogDelivery;

use super::AssignmentInputs;

pub(super) const PREFIX: &str = "logs";
/// The bucket's region, as far as embedded and AWS-like stores ask for one.
const REGION: &str = "us-east-1";
/// What logs may take on a node's disk.
const DISK_BYTES: u64 = 4 << 30;

pub(super) fn delivery(inputs: &AssignmentInputs<'_>) -> LogDelivery {
    LogDelivery {
        endpoint: inputs.storage.endpoint.clone(),
        region: REGION.to_owned(),
        bucket: inputs.storage.bucket.clone(),
        prefix: format!("{PREFIX}/"),
        access_key: inputs.storage.access_key.clone(),
        secret_key: inputs.storage.secret_key.clone(),
        node_name: node_name(inputs),
        disk_bytes: DISK_BYTES,
    }
}

/// `worker-1-d41f6c1a09b2`: a replacement has the same label, and logs of its own.
fn node_name(inputs: &AssignmentInputs<'_>) -> String {
    let id = inputs.node.to_string().replace('-', "");
    let short = id.get(id.len().saturating_sub(12)..).unwrap_or(&id);
    format!("{}-{}-{short}", inputs.role, inputs.ordinal)
}
