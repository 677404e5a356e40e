//! Everything that can go wrong while Updraft brings its own parts. Each message says what happened, why, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    #[error(
        "{path} is in use by another `updraft up` (process {holder}): use that one, stop it with `updraft down`, \
         or choose another directory with --data-dir"
    )]
    DataDirInUse { path: PathBuf, holder: String },

    #[error(
        "{path} holds files that are not Updraft's: nothing was touched; choose an empty directory with --data-dir"
    )]
    DataDirForeign { path: PathBuf },

    #[error("{path} belongs to {owner}: run Updraft as {owner}, or choose another directory with --data-dir")]
    DataDirOwner { path: PathBuf, owner: String },

    #[error(
        "{path} was made by a newer Updraft (format {found}, this one knows {known}): \
         use the newer one, or choose another directory with --data-dir"
    )]
    DataDirNewer {
        path: PathBuf,
        found: String,
        known: u32,
    },

    #[error(
        "services run as users of their own, who cannot pass {blocked} to reach {path}: \
         choose a directory that all may pass, such as --data-dir /var/lib/updraft, or `chmod o+x {blocked}`"
    )]
    DataDirUnreachable { path: PathBuf, blocked: PathBuf },

    #[error(
        "{path} has {free_mib} MiB free and Updraft needs {needed_mib} MiB: \
         free some space, or choose a directory on another disk with --data-dir"
    )]
    DiskSpace {
        path: PathBuf,
        free_mib: u64,
        needed_mib: u64,
    },

    #[error("the disk is full: {doing} stopped half-way; free some space and run the same command again")]
    DiskFull { doing: String },

    #[error(
        "no usable Python: Airflow needs 3.10 to 3.14 and {found}; \
         install it with the system's package manager (Debian, Ubuntu: `apt-get install python3 python3-venv`)"
    )]
    NoPython { found: String },

    #[error(
        "{python} has neither pip nor venv, so nothing can be installed: install one with the system's package \
         manager (Debian, Ubuntu: `apt-get install python3-venv`)"
    )]
    NoPip { python: PathBuf },

    #[error(
        "{doing} could not reach the package index ({detail}): check the network and the proxy; \
         a mirror set in pip's or uv's own configuration is used if there is one"
    )]
    Offline { doing: String, detail: String },

    #[error(
        "{doing} was refused: a package is not the one that was locked ({detail}); the index or a mirror changed it, \
         so nothing was installed: use another index"
    )]
    HashMismatch { doing: String, detail: String },

    #[error("{doing} failed: {detail}; run the same command again, and report it if it stays")]
    ToolFailed { doing: String, detail: String },

    #[error("{program} could not be run: check that it is there and executable")]
    ToolMissing { program: PathBuf, source: io::Error },

    #[error(
        "the system user {name} could not be made ({detail}): make it with `useradd --system {name}`, \
         or run Updraft as an ordinary user"
    )]
    Account { name: String, detail: String },

    #[error(
        "port {port}, needed for {purpose}, is taken by {holder}: stop that, or move all of Updraft's ports with \
         --port-base"
    )]
    PortTaken {
        port: u16,
        purpose: String,
        holder: String,
    },

    #[error("{service} stopped while starting ({detail}): its log is {log}")]
    ServiceDied {
        service: String,
        detail: String,
        log: PathBuf,
    },

    #[error(
        "{service} was not ready after {seconds} s ({detail}): its log is {log}; run the same command again"
    )]
    ServiceSlow {
        service: String,
        seconds: u64,
        detail: String,
        log: PathBuf,
    },

    #[error("{service} did not stop: end process {pid} by hand")]
    ServiceStuck { service: String, pid: i32 },

    #[error(
        "{path} was written by PostgreSQL {found} and this Updraft brings {known}: \
         start it once with the Updraft that made it and dump it, or choose another directory with --data-dir"
    )]
    PostgresVersion {
        path: PathBuf,
        found: String,
        known: u32,
    },

    #[error(
        "`{name}` cannot name a bucket or an identity: use 3 to 63 lower-case letters, digits and dashes"
    )]
    StorageName { name: String },

    #[error("object storage answered {status} to {doing}: see its logs in {logs}")]
    Storage {
        doing: String,
        status: u16,
        logs: PathBuf,
    },

    #[error("{path} is damaged ({detail}): restore it from a backup, or remove it to have it made anew")]
    Damaged { path: PathBuf, detail: String },

    #[error("could not {doing} {path}: check that its directory exists and that this user may write there")]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

// === impl Error ===

impl Error {
    /// Turns an IO error into ours: a full disk has its own remedy.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull {
                doing: format!("to {doing} {}", path.display()),
            },
            _ => Self::Io {
                doing,
                path: path.to_owned(),
                source,
            },
        }
    }
}
