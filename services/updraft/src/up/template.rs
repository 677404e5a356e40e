//! The migrated database that every cluster of a runtime is cloned from: 0.1 s instead of 5.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::Command;
use updraft_runtimes::{Runtime, Variables};
use updraft_store::template::{self, Template};

/// # Errors
/// When the metadata server is not there, or Airflow's own migration fails; it is tried anew at the next start.
pub(crate) async fn ensure(
    admin: &SecretString,
    name: &str,
    runtime: &Runtime,
    environment: &Path,
    scratch: &Path,
) -> anyhow::Result<()> {
    if template::ensure(admin, name).await? == Template::Sealed {
        return Ok(());
    }
    let dsn = template::address_of(admin, name)?;
    migrate(runtime, environment, scratch, &dsn).await?;
    Ok(template::seal(admin, name).await?)
}

async fn migrate(
    runtime: &Runtime,
    environment: &Path,
    scratch: &Path,
    dsn: &SecretString,
) -> anyhow::Result<()> {
    let work = tempfile::tempdir_in(scratch)?;
    let dir = work.path().display().to_string();
    let plain = [
        "address",
        "base_url",
        "cluster_id",
        "prefix",
        "jwks_file",
        "log_bucket",
        "log_prefix",
        "s3_endpoint",
    ];
    let variables = plain
        .iter()
        .fold(Variables::default(), |all, name| all.with(name, "none"));
    let variables = [
        "dags_dir",
        "logs_dir",
        "work_dir",
        "plugins_dir",
        "prefork_socket",
    ]
    .iter()
    .fold(variables, |all, name| all.with(name, &dir))
    .with("worker_concurrency", "1")
    .with("worker_queues", "default")
    .with("dsn", dsn.expose_secret());
    let (program, arguments) = runtime
        .migrate_argv()
        .split_first()
        .context("the runtime names no migration")?;
    let output = Command::new(environment.join("bin").join(program))
        .args(arguments)
        .env_clear()
        .envs(runtime.migrate_env(&variables)?)
        .env("PATH", "/usr/bin:/bin")
        .current_dir(work.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("Airflow's migration could not be started")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).replace(dsn.expose_secret(), "(the database)");
        let last: Vec<_> = text.lines().rev().take(5).collect();
        bail!(
            "Airflow's own database migration failed: {}",
            last.into_iter().rev().collect::<Vec<_>>().join("\n")
        );
    }
    Ok(())
}
