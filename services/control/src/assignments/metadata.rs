//! What nodes are told of a metadata database that the tenant brings. Pure.
//!
//! Scheduler and web alone are told of it, and in it they start nothing before it was found good. Its DSN says how the connection is
//! secured in both dialects that Airflow's drivers speak (libpq's, and asyncpg's, which refuses libpq's options).

use std::fmt::Write as _;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use updraft_api::agent::{FileAssignment, MetadataAssignment, ServiceAssignment};
use updraft_model::{MetadataDatabase, NodeRole};
use updraft_runtimes::{MissingVariable, Runtime, Variables};

use super::AssignmentInputs;

/// Where libpq and asyncpg both look, below the services' home.
const AUTHORITY: &str = "work/.postgresql/root.crt";
const DIRECTORY: &str = "work/.postgresql";
const SYNC: &str = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN";
const ASYNC: &str = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC";
const LOOK: [&str; 3] = ["python", "-m", "updraft_airflow.metadata"];

/// A metadata database of the tenant's own.
pub struct BroughtDatabase {
    pub place: MetadataDatabase,
    /// Certificates that its server is held to; empty: none.
    pub authority: SecretString,
    /// What the cluster is known by in it, and to nobody else.
    pub owner: SecretString,
}

/// As libpq reads it.
pub(super) fn dsn(inputs: &AssignmentInputs<'_>) -> String {
    let mut dsn = inputs.secrets.dsn.expose_secret().to_owned();
    if let Some(brought) = &inputs.secrets.brought {
        let _ = write!(dsn, "?sslmode={}", brought.place.sslmode);
        if brought.place.sslmode.verifies() {
            let _ = write!(dsn, "&sslrootcert={}/{AUTHORITY}", inputs.place.node_dir);
        }
    }
    dsn
}

/// None: it is none of the tenant's, or nothing of this node's to know.
pub(super) fn assigned(
    runtime: &Runtime,
    inputs: &AssignmentInputs<'_>,
    variables: &Variables,
) -> Result<Option<MetadataAssignment>, MissingVariable> {
    let brought = inputs.secrets.brought.as_ref();
    let Some(brought) = brought.filter(|_| inputs.role != NodeRole::Worker) else {
        return Ok(None);
    };
    let migrate = match inputs.role {
        NodeRole::Scheduler => runtime.migrate_argv(),
        NodeRole::Web | NodeRole::Worker => &[],
    };
    let mut env = runtime.migrate_env(variables)?;
    let look = json!({
        "owner": brought.owner.expose_secret(),
        "cluster": inputs.cluster.to_string(),
        "airflow_url": inputs.base_url,
        "migrate": migrate,
    });
    env.insert("UPDRAFT_METADATA".to_owned(), look.to_string());
    env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    env.insert(ASYNC.to_owned(), asynchronous(inputs, brought));
    Ok(Some(MetadataAssignment {
        digest: digest(runtime, inputs, brought),
        host: brought.place.host.clone(),
        port: brought.place.port,
        argv: LOOK.map(str::to_owned).to_vec(),
        env,
    }))
}

/// Has a service wait that is given the way to it.
pub(super) fn add(service: &mut ServiceAssignment, inputs: &AssignmentInputs<'_>) {
    let Some(brought) = &inputs.secrets.brought else {
        return;
    };
    if service.env.get(SYNC).is_some_and(|given| *given == dsn(inputs)) {
        service.after_metadata = true;
        service
            .env
            .insert(ASYNC.to_owned(), asynchronous(inputs, brought));
    }
}

/// The certificates that its server is held to, where it is.
pub(super) fn authority(inputs: &AssignmentInputs<'_>) -> Option<FileAssignment> {
    let brought = inputs.secrets.brought.as_ref()?;
    let told = brought.place.sslmode.verifies() && inputs.role != NodeRole::Worker;
    told.then(|| FileAssignment {
        path: AUTHORITY.to_owned(),
        content: brought.authority.expose_secret().to_owned(),
    })
}

/// What that file lies in.
pub(super) fn directory(inputs: &AssignmentInputs<'_>) -> Option<String> {
    authority(inputs).map(|_| DIRECTORY.to_owned())
}

fn asynchronous(inputs: &AssignmentInputs<'_>, brought: &BroughtDatabase) -> String {
    let dsn = inputs.secrets.dsn.expose_secret();
    let rest = dsn.strip_prefix("postgresql://").unwrap_or(dsn);
    format!("postgresql+asyncpg://{rest}?ssl={}", brought.place.sslmode)
}

/// Of what a look depends on: each runtime looks anew.
fn digest(runtime: &Runtime, inputs: &AssignmentInputs<'_>, brought: &BroughtDatabase) -> String {
    let parts = [
        runtime.name(),
        &dsn(inputs),
        brought.authority.expose_secret(),
        brought.owner.expose_secret(),
    ];
    hex::encode(&Sha256::digest(parts.join("\n"))[..16])
}
