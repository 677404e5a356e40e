//! Which script nodes run before their services start, and which is tried first. Pure.

use sha2::{Digest as _, Sha256};
use updraft_api::agent::{
    BuildLimits, ScriptAssignment, ScriptFrom, ScriptObject, ServiceAssignment, TrialAssignment,
};
use updraft_app::bucket_keys;
use updraft_model::{BootstrapKey, BootstrapScript, ClusterSpec, Generation, NodeRole};
use updraft_store::assignments::AssignmentRows;
use updraft_store::credentials::OpenCredential;
use updraft_store::environment_changes::Stage;

/// A script's processes together.
const MEMORY_BYTES: u64 = 1 << 30;
const DISK_BYTES: u64 = 1 << 30;
const PROCESSES: u32 = 128;
/// In the cluster's own bucket, where no DAG source reaches.
const KEPT: &str = "updraft/bootstrap/";

/// None: services start at once.
pub(super) fn assigned(spec: &ClusterSpec) -> Option<ScriptAssignment> {
    let digest = digest(&spec.bootstrap.key()?);
    Some(ScriptAssignment {
        from: match spec.bootstrap.script.as_ref()? {
            BootstrapScript::Inline { text } => ScriptFrom::Inline { text: text.clone() },
            BootstrapScript::S3 { .. } => ScriptFrom::Kept {
                key: format!("{KEPT}{digest}"),
            },
        },
        env: spec.environment_variables.clone().into_iter().collect(),
        limits: BuildLimits {
            time_s: spec.bootstrap.time_limit_s,
            memory_bytes: MEMORY_BYTES,
            disk_bytes: DISK_BYTES,
            processes: PROCESSES,
        },
        digest,
    })
}

/// The script that is to be tried on this node, if one is.
pub(super) fn to_try(rows: &AssignmentRows) -> Option<(&ClusterSpec, Generation)> {
    let change = rows.change.as_ref()?;
    let is_new = rows.spec.bootstrap.key() != change.before.bootstrap.key();
    let tries = rows.role == NodeRole::Scheduler && change.stage == Stage::Building && is_new;
    (tries && rows.spec.bootstrap.script.is_some()).then_some((&rows.spec, change.attempt))
}

/// `credential` is what the script names, if anything; looked at again here: it may have been changed since.
pub(super) fn trial(
    spec: &ClusterSpec,
    attempt: Generation,
    credential: Option<&OpenCredential>,
) -> Option<TrialAssignment> {
    let object = match spec.bootstrap.script.as_ref()? {
        BootstrapScript::Inline { .. } => None,
        BootstrapScript::S3 {
            bucket,
            key,
            region,
            endpoint,
            ..
        } => Some(ScriptObject {
            endpoint: endpoint.clone(),
            region: region.clone(),
            bucket: bucket.clone(),
            key: key.clone(),
            credential: credential.and_then(bucket_keys),
        }),
    };
    Some(TrialAssignment {
        attempt: attempt.0,
        script: assigned(spec)?,
        object,
        roles: vec![NodeRole::Scheduler, NodeRole::Web, NodeRole::Worker],
    })
}

/// Has a service wait for the script, and know what it left.
pub(super) fn add(service: &mut ServiceAssignment, script: Option<&ScriptAssignment>, node_dir: &str) {
    let Some(script) = script else { return };
    let directory = format!("{node_dir}/bootstrap/{}", script.digest);
    let path = format!("{directory}/bin:/usr/local/bin:/usr/bin:/bin");
    service.after_script = true;
    service.env.insert("UPDRAFT_BOOTSTRAP_DIR".to_owned(), directory);
    service.env.insert("PATH".to_owned(), path);
    service.digest = format!("{}-{}", service.digest, script.digest);
}

fn digest(key: &BootstrapKey) -> String {
    let text = match &key.script {
        BootstrapScript::Inline { text } => ["inline", text].join("\n"),
        BootstrapScript::S3 {
            bucket,
            key: object,
            region,
            endpoint,
            ..
        } => [
            "s3",
            bucket,
            object,
            region,
            endpoint.as_deref().unwrap_or_default(),
        ]
        .join("\n"),
    };
    let read_at = key.read_at.map_or(0, |generation| generation.0);
    hex::encode(&Sha256::digest(format!("{read_at}\n{text}"))[..12])
}
