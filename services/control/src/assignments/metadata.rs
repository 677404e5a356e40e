//! What nodes are told of the cluster's metadata database, the installation's or one that the tenant brings. Pure.
//!
//! Scheduler and web alone are told of it, and in one that is brought they start nothing before it was found good. Its DSN says
//! how the connection is secured in both dialects that Airflow's drivers speak (libpq's, and asyncpg's, which refuses libpq's
//! options).

use std::fmt::Write as _;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use updraft_api::agent::{FileAssignment, MetadataAssignment, ServiceAssignment};
use updraft_model::{MetadataDatabase, NodeRole, SslMode};
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

/// How connections are secured, whoever's the server is.
struct Security<'a> {
    sslmode: SslMode,
    /// Certificates that the server is held to, PEM.
    authority: &'a str,
}

/// None: drivers decide.
fn security<'a>(inputs: &AssignmentInputs<'a>) -> Option<Security<'a>> {
    match &inputs.secrets.brought {
        Some(brought) => Some(Security {
            sslmode: brought.place.sslmode,
            authority: brought.authority.expose_secret(),
        }),
        None => inputs.metadata_authority.map(|authority| Security {
            sslmode: SslMode::VerifyFull,
            authority,
        }),
    }
}

/// As libpq reads it.
pub(super) fn dsn(inputs: &AssignmentInputs<'_>) -> String {
    let mut dsn = inputs.secrets.dsn.expose_secret().to_owned();
    if let Some(Security { sslmode, .. }) = security(inputs) {
        let _ = write!(dsn, "?sslmode={sslmode}");
        if sslmode.verifies() {
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
    env.extend(asynchronous(inputs));
    Ok(Some(MetadataAssignment {
        digest: digest(runtime, inputs, brought),
        host: brought.place.host.clone(),
        port: brought.place.port,
        argv: LOOK.map(str::to_owned).to_vec(),
        env,
    }))
}

/// Tells a service that is given the way to it both ways there are, and has it wait for one that is brought.
pub(super) fn add(service: &mut ServiceAssignment, inputs: &AssignmentInputs<'_>) {
    if service.env.get(SYNC).is_some_and(|given| *given == dsn(inputs)) {
        service.after_metadata = inputs.secrets.brought.is_some();
        service.env.extend(asynchronous(inputs));
    }
}

/// The certificates that its server is held to, where it is.
pub(super) fn authority(inputs: &AssignmentInputs<'_>) -> Option<FileAssignment> {
    let Security { sslmode, authority } = security(inputs)?;
    let told = sslmode.verifies() && inputs.role != NodeRole::Worker;
    told.then(|| FileAssignment {
        path: AUTHORITY.to_owned(),
        content: authority.to_owned(),
    })
}

/// What that file lies in.
pub(super) fn directory(inputs: &AssignmentInputs<'_>) -> Option<String> {
    authority(inputs).map(|_| DIRECTORY.to_owned())
}

/// As asyncpg reads it. None: drivers decide, and Airflow makes it of the other by itself.
fn asynchronous(inputs: &AssignmentInputs<'_>) -> Option<(String, String)> {
    let Security { sslmode, .. } = security(inputs)?;
    let dsn = inputs.secrets.dsn.expose_secret();
    let rest = dsn.strip_prefix("postgresql://").unwrap_or(dsn);
    Some((
        ASYNC.to_owned(),
        format!("postgresql+asyncpg://{rest}?ssl={sslmode}"),
    ))
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
