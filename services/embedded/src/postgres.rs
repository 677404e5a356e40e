//! A PostgreSQL server of our own: made with `initdb`, open on 127.0.0.1 to passwords (SCRAM) only, without a socket.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use crate::command::Tool;
use crate::process::start_ticks;
use crate::progress::{Progress, Step};
use crate::service::{Ready, Service, StopStage};
use crate::supervise::{Status, Supervised};
use crate::{Account, Error, Layout, Parts, Result, parts, secret};

/// The major version that the locked parts bring.
const MAJOR: u32 = 18;

const SUPERUSER: &str = "postgres";

/// One server's name and size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresSettings {
    /// `control` or `metadata`: names its directory, its secret and its log.
    pub name: String,
    pub port: u16,
    pub max_connections: u32,
    pub shared_buffers_mib: u32,
}

/// A running, supervised server.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    password: SecretString,
    supervised: Supervised,
}

// === impl PostgresSettings ===

impl PostgresSettings {
    fn service(&self) -> String {
        format!("postgres-{}", self.name)
    }

    /// Settings by argument, so that the next `up` sees whether they changed. `fsync` keeps its default: on.
    fn args(&self, dir: &Path) -> Vec<std::ffi::OsString> {
        let mut args = vec!["-D".into(), dir.as_os_str().to_owned()];
        let settings = [
            format!("port={}", self.port),
            format!("max_connections={}", self.max_connections),
            format!("shared_buffers={}MB", self.shared_buffers_mib),
            format!("cluster_name=updraft-{}", self.name),
            "listen_addresses=127.0.0.1".into(),
            // No socket: one way in less, and no limit on how long the data directory's path may be.
            "unix_socket_directories=".into(),
            "password_encryption=scram-sha-256".into(),
            "timezone=UTC".into(),
            "log_timezone=UTC".into(),
            // Nothing replicates from here.
            "wal_level=minimal".into(),
            "max_wal_senders=0".into(),
            "max_wal_size=512MB".into(),
            // Airflow's queries are short: compiling them costs more than it saves.
            "jit=off".into(),
        ];
        for setting in settings {
            args.extend(["-c".into(), setting.into()]);
        }
        args
    }
}

// === impl Postgres ===

impl Postgres {
    /// Makes the server's data on first use, then adopts or starts it, and returns when it takes queries.
    ///
    /// # Errors
    /// A taken port, a full disk, data of another major version, or what its log says.
    pub async fn start(
        layout: &Layout,
        parts: &Parts,
        account: &Account,
        settings: &PostgresSettings,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let step_name = format!("Postgres for {}", settings.name);
        let step = Step::begin(progress, &step_name);
        let dir = layout.postgres(&settings.name);
        let password = secret::ensure(&layout.secrets().join(settings.service()))?;
        if !dir.exists() {
            step.say(None, "making its files");
            initialise(parts, account, &dir, &password).await?;
        }
        check_version(&dir)?;
        step.say(None, "starting");
        let supervised =
            Supervised::start(service(layout, parts, account, settings, dir), layout.run()).await?;
        step.done();
        Ok(Self {
            port: settings.port,
            password,
            supervised,
        })
    }

    /// The superuser's, for the one who makes databases and roles. Hand it to nobody else.
    pub fn superuser_dsn(&self) -> SecretString {
        let password = self.password.expose_secret();
        format!(
            "postgresql://{SUPERUSER}:{password}@127.0.0.1:{}/postgres",
            self.port
        )
        .into()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn status(&self) -> watch::Receiver<Status> {
        self.supervised.status()
    }

    /// Fast shutdown: sessions are ended, everything committed is on disk.
    ///
    /// # Errors
    /// [`Error::ServiceStuck`] when it cannot be ended.
    pub async fn stop(self) -> Result<()> {
        self.supervised.stop().await
    }
}

/// Aside, then renamed in: a data directory is there or not there, never half.
async fn initialise(parts: &Parts, account: &Account, dir: &Path, password: &SecretString) -> Result<()> {
    let aside = dir.with_extension("new");
    let password_file = dir.with_extension("password");
    parts::remove(&aside)?;
    DirBuilder::new()
        .mode(0o700)
        .create(&aside)
        .map_err(Error::io("make", &aside))?;
    account.own(&aside).map_err(Error::io("give away", &aside))?;
    secret::write(&password_file, password.expose_secret().as_bytes(), Some(account))?;
    let made = Tool::new(
        "making a PostgreSQL data directory",
        &parts.postgres_bin.join("initdb"),
    )
    .run_as(account)
    .args([
        "--username",
        SUPERUSER,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-instructions",
    ])
    .args([
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--pwfile",
    ])
    .args([password_file.as_os_str(), "-D".as_ref(), aside.as_os_str()])
    .run(|_| {})
    .await;
    fs::remove_file(&password_file).map_err(Error::io("remove", &password_file))?;
    made?;
    fs::rename(&aside, dir).map_err(Error::io("move into place", dir))
}

fn check_version(dir: &Path) -> Result<()> {
    let file = dir.join("PG_VERSION");
    let found = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
    if found.trim() == MAJOR.to_string() {
        return Ok(());
    }
    Err(Error::PostgresVersion {
        path: dir.to_owned(),
        found: found.trim().to_owned(),
        known: MAJOR,
    })
}

fn service(
    layout: &Layout,
    parts: &Parts,
    account: &Account,
    settings: &PostgresSettings,
    dir: PathBuf,
) -> Service {
    let name = settings.service();
    let (pid_file, of_prepare) = (dir.join("postmaster.pid"), dir.clone());
    Service {
        program: parts.postgres_bin.join("postgres"),
        args: settings.args(&dir),
        env: vec![
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("LC_ALL".into(), "C".into()),
        ],
        directory: dir,
        account: account.clone(),
        log: layout.log(&name),
        ports: vec![settings.port],
        ready: Ready::Says(Arc::new(move |pid| is_ready(&pid_file, pid))),
        // After a crash it replays its write-ahead log first.
        patience: Duration::from_secs(120),
        stop: vec![
            StopStage {
                signal: Signal::INT.as_raw(),
                seconds: 30.0,
            },
            StopStage {
                signal: Signal::QUIT.as_raw(),
                seconds: 10.0,
            },
        ],
        prepare: Some(Arc::new(move || clear_stale_pid(&of_prepare))),
        name,
    }
}

/// The eighth line of `postmaster.pid` is the server's state, as `pg_ctl -w` reads it (utils/pidfile.h).
fn is_ready(pid_file: &Path, pid: i32) -> bool {
    let text = fs::read_to_string(pid_file).unwrap_or_default();
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(&pid.to_string()) && lines.nth(6) == Some("ready")
}

/// PostgreSQL clears a dead server's file itself, but refuses to start when its number has gone to another process of
/// this user: after a container's restart that is usual. It stays while anything still works in the directory.
fn clear_stale_pid(dir: &Path) -> Result<()> {
    let pid_file = dir.join("postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap_or_default();
    let Some(pid) = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse::<i32>().ok())
    else {
        return Ok(());
    };
    if start_ticks(pid).is_none() || works_in(dir) {
        return Ok(());
    }
    tracing::info!(path = %pid_file.display(), "removed what a server that is gone left");
    fs::remove_file(&pid_file).map_err(Error::io("remove", &pid_file))
}

/// Whether any process has this as its working directory, as every PostgreSQL process has its data directory.
fn works_in(dir: &Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .map(|process| process.path().join("cwd"))
        .any(|cwd| fs::read_link(cwd).is_ok_and(|at| at == dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_is_ready_only_when_this_one_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("postmaster.pid");
        assert!(!is_ready(&file, 7));
        fs::write(&file, "7\n/d\n1\n5432\n\n127.0.0.1\n 1 2\nstarting\n").unwrap();
        assert!(!is_ready(&file, 7));
        fs::write(&file, "7\n/d\n1\n5432\n\n127.0.0.1\n 1 2\nready   \n").unwrap();
        assert!(is_ready(&file, 7));
        assert!(!is_ready(&file, 8));
    }

    #[test]
    fn pid_file_whose_number_went_to_a_stranger_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("postmaster.pid");
        fs::write(&file, format!("{}\n/d\n", std::process::id())).unwrap();
        clear_stale_pid(dir.path()).unwrap();
        assert!(!file.exists());
    }
}
