//! The pre-imported parent: one Python process per cluster and machine that has imported Airflow and forks services.
//!
//! Agents of several nodes share it. Who comes first starts it, under a lock; who leaves last ends it. Its children are
//! the agents' to supervise and outlive it. Its protocol is described in `updraft_airflow.prefork`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use updraft_api::agent::ParentAssignment;

use super::files::write_files;
use super::launch::{detached, service_uid};
use super::lock::Lock;
use crate::error::{Error, Result};
use crate::place::{Ownership, Place};
use crate::process::{Handle, ProcessId};

const LOCK: &str = "prefork.lock";
const LOG: &str = "prefork.log";
const READY_WITHIN: Duration = Duration::from_secs(120);
const ASK_EVERY: Duration = Duration::from_millis(20);
/// A fork of 300 MiB on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A running parent.
#[derive(Clone, Debug)]
pub struct Parent {
    socket: PathBuf,
    handle: Handle,
}

/// Which parent: one for each environment and configuration. Nodes that are given another one while they change do not
/// fight over a single one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentName(String);

/// That this agent's services may need the parent.
#[derive(Debug)]
pub(crate) struct Membership {
    name: ParentName,
    _lock: Lock,
}

#[derive(Debug, Serialize, Deserialize)]
struct ParentRecord {
    process: ProcessId,
}

#[derive(Debug, Serialize)]
pub(super) struct ForkRequest<'a> {
    pub(super) argv: &'a [String],
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) cwd: String,
    pub(super) output: String,
    /// Where the parent writes how it ended.
    pub(super) status: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Reply {
    Forked(ProcessId),
    Ready { ready: bool },
    Refused { error: String },
}

// === impl ParentName ===

impl ParentName {
    /// Of all that a parent is made of.
    #[must_use]
    pub fn new(environment_dir: &str, wanted: &ParentAssignment) -> Self {
        let content = serde_json::to_vec(&(environment_dir, wanted)).unwrap_or_default();
        // Short: a socket's path may have 107 bytes.
        let digest = hex::encode(Sha256::digest(content))
            .chars()
            .take(8)
            .collect::<String>();
        Self(format!("prefork-{digest}"))
    }

    fn socket(&self) -> String {
        format!("{}.sock", self.0)
    }

    fn record(&self) -> String {
        format!("{}.json", self.0)
    }

    fn users(&self) -> String {
        format!("{}.users", self.0)
    }
}

// === impl Parent ===

impl Parent {
    /// The parent of this environment, started if there is none; returns once it is running, ready or not.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn ensure(shared: &Place, environment_dir: &str, wanted: &ParentAssignment) -> Result<Self> {
        let name = ParentName::new(environment_dir, wanted);
        let _lock = Lock::wait(shared, LOCK, false)?;
        // One that has ended and was not reaped yet is none.
        let living = load(shared, &name)?.filter(|process| process.is_alive());
        let handle = living
            .map(Handle::open)
            .transpose()
            .map_err(Error::file("watch", name.record()))?
            .flatten();
        match handle {
            Some(handle) => Ok(Self {
                socket: shared.path().join(name.socket()),
                handle,
            }),
            None => Self::start(shared, &name, environment_dir, wanted),
        }
    }

    fn start(
        shared: &Place,
        name: &ParentName,
        environment_dir: &str,
        wanted: &ParentAssignment,
    ) -> Result<Self> {
        let failed = |reason: String| Error::Spawn {
            service: "the pre-imported parent".to_owned(),
            reason,
        };
        // What is there belongs to one that has ended; whoever connects must reach the new one.
        shared.remove(&name.socket())?;
        let socket = shared.path().join(name.socket());
        write_files(shared, &wanted.directories, &wanted.files)?;
        let output = shared.append(LOG, 0o660, Ownership::Shared)?;
        let errors = output.try_clone().map_err(|error| failed(error.to_string()))?;
        let program = format!("{environment_dir}/bin/python");
        let arguments = [
            "-m",
            "updraft_airflow.prefork",
            "--socket",
            &socket.to_string_lossy(),
        ]
        .map(str::to_owned);
        let mut child = detached(
            &program,
            &arguments,
            &wanted.env,
            shared.path().to_owned(),
            shared.owner(),
        )
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|error| failed(format!("`{program}`: {error}")))?;
        let process = i32::try_from(child.id()).ok().and_then(ProcessId::of);
        let process = process.ok_or_else(|| failed("it ended at once".to_owned()))?;
        save(shared, name, process)?;
        // Whichever agent started it has to reap it.
        std::thread::spawn(move || child.wait());
        let handle = Handle::open(process).map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            socket,
            handle: handle.ok_or_else(|| failed("it ended at once".to_owned()))?,
        })
    }

    /// Returns once it answers.
    ///
    /// # Errors
    /// With the reason for people, when it ends or stays silent.
    pub async fn ready(&self) -> Result<(), String> {
        let asked = async {
            loop {
                if let Ok(Reply::Ready { ready: true }) = self.ask(b"{\"ping\":true}\n").await {
                    break;
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        tokio::select! {
            () = asked => Ok(()),
            () = self.handle.ended() => Err("the pre-imported parent ended while it was importing".to_owned()),
            () = tokio::time::sleep(READY_WITHIN) => Err("the pre-imported parent did not get ready".to_owned()),
        }
    }

    pub async fn ended(&self) {
        self.handle.ended().await;
    }

    pub(super) async fn fork(&self, request: &ForkRequest<'_>) -> Result<ProcessId, String> {
        let mut line = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        line.push(b'\n');
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.ask(&line)).await;
        match answer.map_err(|_| "the pre-imported parent did not answer".to_owned())? {
            Ok(Reply::Forked(id)) => Ok(id),
            Ok(Reply::Refused { error }) => Err(format!("the pre-imported parent refused: {error}")),
            Ok(Reply::Ready { .. }) => Err("the pre-imported parent answered something else".to_owned()),
            Err(error) => Err(format!("the pre-imported parent can't be asked: {error}")),
        }
    }

    async fn ask(&self, line: &[u8]) -> std::io::Result<Reply> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        stream.write_all(line).await?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).await?;
        Ok(serde_json::from_str(&answer)?)
    }
}

// === impl Membership ===

impl Membership {
    /// Says that this agent uses the parent. Blocks for an instant.
    ///
    /// # Errors
    /// When the lock can't be taken.
    pub(crate) fn join(shared: &Place, name: ParentName) -> Result<Self> {
        let lock = Lock::wait(shared, &name.users(), true)?;
        Ok(Self { name, _lock: lock })
    }

    pub(crate) fn name(&self) -> &ParentName {
        &self.name
    }

    /// Leaves; the last one ends the parent.
    ///
    /// # Errors
    /// When the parent can't be told.
    pub(crate) fn leave(self, shared: &Place) -> Result<()> {
        let name = self.name.clone();
        drop(self);
        let _lock = Lock::wait(shared, LOCK, false)?;
        if Lock::try_alone(shared, &name.users()).is_none() {
            return Ok(());
        }
        match load(shared, &name)? {
            Some(process) => terminate(shared, &name, process),
            None => Ok(()),
        }
    }
}

/// The parent of this environment, once it answers, or why there is none; `None` when it is no longer wanted.
///
/// As long as it is waited for, that counts as a membership of its own. So a node that is given another environment
/// meanwhile does not end a parent while somebody waits for it, nor does it leave one behind that nobody uses.
pub(crate) async fn bring_parent_up(
    shared: Arc<Place>,
    environment_dir: String,
    wanted: ParentAssignment,
    no_longer: oneshot::Receiver<()>,
) -> Option<Result<Parent, String>> {
    let place = Arc::clone(&shared);
    let found = tokio::task::spawn_blocking(move || {
        let waiting = Membership::join(&place, ParentName::new(&environment_dir, &wanted))?;
        let parent = Parent::ensure(&place, &environment_dir, &wanted);
        Ok::<_, Error>((waiting, parent))
    });
    let (waiting, parent) = match found.await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Some(Err(error.chain())),
        Err(error) => return Some(Err(error.to_string())),
    };
    let answers = async {
        let parent = parent.map_err(|error| error.chain())?;
        parent.ready().await.map(|()| parent)
    };
    let outcome = tokio::select! {
        biased;
        _ = no_longer => None,
        ready = answers => Some(ready),
    };
    if let Err(error) = waiting.leave(&shared) {
        tracing::warn!(error = error.chain(), "A pre-imported parent could not be left");
    }
    outcome
}

fn terminate(shared: &Place, name: &ParentName, process: ProcessId) -> Result<()> {
    if process.is_alive() && process.uid() == Some(service_uid(shared.owner())) {
        process
            .signal(Signal::TERM)
            .map_err(Error::file("stop", name.record()))?;
    }
    shared.remove(&name.record())
}

fn load(shared: &Place, name: &ParentName) -> Result<Option<ProcessId>> {
    // Whoever wrote it had the lock, or died at it: then there is none.
    let bytes = shared.read(&name.record())?;
    let record = bytes.and_then(|bytes| serde_json::from_slice::<ParentRecord>(&bytes).ok());
    Ok(record.map(|record| record.process))
}

fn save(shared: &Place, name: &ParentName, process: ProcessId) -> Result<()> {
    let bytes = serde_json::to_vec(&ParentRecord { process }).map_err(|source| Error::Format {
        path: name.record().into(),
        source,
    })?;
    shared.write(&name.record(), &bytes, 0o600, Ownership::Agent)
}
