//! One build from beginning to end.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use updraft_api::agent::{BuildAssignment, BuildRefusal, BuildReport, BuildStage};

use super::enclosure::{View, enclosed};
use super::index::IndexDoor;
use super::kept::Kept;
use super::progress::{Verdict, conclude, last, take};
use super::staging::Staging;
use super::watch::Watch;
use crate::dags::plugins;
use crate::error::{Error, Result};
use crate::process::{MARK, ProcessId, kill_tree};
use crate::supervise::service_uid;

const LOOK: Duration = Duration::from_millis(200);
/// What is kept of the builder's standard error.
const COMPLAINT: usize = 2_000;
/// The longest line that is read.
const LINE: u64 = 64 * 1024;

pub(super) struct Work {
    pub(super) staging: Staging,
    pub(super) wanted: BuildAssignment,
    pub(super) report: BuildReport,
    pub(super) said: mpsc::UnboundedSender<BuildReport>,
}

/// Kills all of a build, also when it is given up half-way.
pub(crate) struct Processes {
    pub(crate) root: ProcessId,
    pub(crate) mark: String,
    pub(crate) uid: u32,
}

// === impl Work ===

impl Work {
    pub(super) async fn run(mut self) {
        let verdict = if Path::new(&self.wanted.directory).is_dir() {
            Verdict::Ready
        } else {
            self.build().await.unwrap_or_else(|error| {
                tracing::warn!(error = error.chain(), "An environment could not be built");
                Verdict::Refused(BuildRefusal::Failed, error.chain())
            })
        };
        let is_ready = verdict == Verdict::Ready;
        conclude(&mut self.report, verdict, Utc::now());
        self.say();
        if is_ready && let Err(error) = self.keep().await {
            tracing::warn!(
                error = error.chain(),
                "An environment could not be kept in the bucket: without its disk this cluster builds it anew"
            );
        }
    }

    fn say(&self) {
        // Nobody listens when the agent is ending.
        let _ = self.said.send(self.report.clone());
    }

    async fn build(&mut self) -> Result<Verdict> {
        let mut door = match self.door().await {
            Ok(door) => door,
            Err(error) => return Ok(Verdict::Refused(BuildRefusal::Index, error.chain())),
        };
        self.staging.plugins = self.plugins().await?;
        self.staging.own_index = door.as_ref().map(|door| door.url.clone());
        self.off_thread(|staging, wanted| staging.prepare(wanted)).await?;
        match self.fetch().await {
            Ok(true) => tracing::info!(environment = self.wanted.digest, "An environment was fetched"),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(
                    error = error.chain(),
                    "A kept environment is not taken: it is built anew"
                );
            }
        }
        let mut child = self.start()?;
        let processes = self.processes(&child)?;
        let verdict = self.attend(&mut child, &processes, &mut door).await;
        // Before anything is taken over: nothing of the build may go on.
        drop(processes);
        if verdict == Verdict::Ready {
            self.off_thread(|staging, wanted| staging.publish(Path::new(&wanted.directory)))
                .await?;
        }
        self.off_thread(|staging, _| staging.remove()).await?;
        Ok(verdict)
    }

    /// Into the staging directory, where what is there already is only checked; false: there is none.
    async fn fetch(&self) -> Result<bool> {
        let archive = self.staging.aside()?;
        let kept = Kept::of(&self.staging.surroundings.bucket)?;
        let most = self.wanted.limits.disk_bytes;
        let is_there = kept.fetch(&self.wanted.digest, &archive, most).await?;
        if is_there {
            self.off_thread(|staging, wanted| staging.take_fetched(wanted))
                .await?;
        }
        self.staging.end_aside()?;
        Ok(is_there)
    }

    /// Once: whoever loses its disk needs not build it anew.
    async fn keep(&self) -> Result<()> {
        let kept = Kept::of(&self.staging.surroundings.bucket)?;
        if !kept.has(&self.wanted.digest).await? {
            let archive = self
                .off_thread(|staging, wanted| staging.pack(Path::new(&wanted.directory)))
                .await?;
            kept.put(&self.wanted.digest, &archive).await?;
            self.staging.end_aside()?;
        }
        kept.collect(self.staging.keep()).await
    }

    async fn plugins(&self) -> Result<Option<PathBuf>> {
        let around = &self.staging.surroundings;
        match &self.wanted.plugins {
            Some(wanted) => plugins::find(&around.layout, around.dags.as_deref(), wanted)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    async fn door(&self) -> Result<Option<IndexDoor>> {
        let around = &self.staging.surroundings;
        match &self.wanted.own_index {
            Some(index) => IndexDoor::open(around.address, &around.outbound, index)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    fn start(&self) -> Result<Child> {
        let surroundings = &self.staging.surroundings;
        let mut env = surroundings.env.clone();
        env.insert(MARK.to_owned(), surroundings.mark.clone());
        env.entry("PATH".to_owned())
            .or_insert_with(|| "/usr/bin:/bin".to_owned());
        let program = format!("{}/bin/python", self.wanted.base_dir);
        let request = self.staging.request().to_string_lossy().into_owned();
        let arguments = ["-I", "-m", "updraft_airflow.environment", "--request", &request].map(str::to_owned);
        let view = View {
            own: &self.staging.path(),
            // All versions that are there: what the cluster's plugins are taken from may be another.
            kept: surroundings.dags.as_deref().and_then(Path::parent),
            covered: &surroundings.covered,
        };
        let command = enclosed(&program, &arguments, &env, &view, surroundings.owner);
        Command::from(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.failed(format!("`{program}`: {error}")))
    }

    fn processes(&self, child: &Child) -> Result<Processes> {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Ok(Processes {
            root: pid
                .and_then(ProcessId::of)
                .ok_or_else(|| self.failed("it ended at once".to_owned()))?,
            mark: self.staging.surroundings.mark.clone(),
            uid: service_uid(self.staging.surroundings.owner),
        })
    }

    /// Listens and watches until it has ended or has taken too much.
    async fn attend(
        &mut self,
        child: &mut Child,
        processes: &Processes,
        door: &mut Option<IndexDoor>,
    ) -> Verdict {
        let complaint = tokio::spawn(tail(child.stderr.take()));
        let mut lines = child
            .stdout
            .take()
            .map(|out| BufReader::new(out.take(16 * LINE)).lines());
        let limits = self.wanted.limits;
        let mut watch = Watch::new(processes.root, processes.mark.clone(), processes.uid, limits);
        let deadline = Instant::now() + Duration::from_secs(limits.time_s.into());
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut verdict = None;
        loop {
            tokio::select! {
                biased;
                _ = looks.tick() => {
                    if Instant::now() >= deadline {
                        let words = format!("It did not end within {} s.", limits.time_s);
                        return Verdict::Refused(BuildRefusal::Time, words);
                    }
                    if let Some((cause, words)) = watch.look(&self.staging.path()) {
                        return Verdict::Refused(cause, words);
                    }
                }
                line = next(&mut lines) => match line {
                    Some(line) => {
                        let told = take(&mut self.report, &line, Utc::now());
                        verdict = told.map(|told| blamed(told, door.as_ref())).or(verdict);
                        if self.report.stages.iter().any(|begun| begun.stage == BuildStage::Check) {
                            // What was installed is imported now, and has no business there.
                            *door = None;
                        }
                        self.say();
                    }
                    None => lines = None,
                },
                status = child.wait(), if lines.is_none() => {
                    let well = status.is_ok_and(|status| status.success());
                    // Ready is who says so and ends well: its children may have written the same.
                    verdict = verdict.filter(|told| well || *told != Verdict::Ready);
                    break;
                }
            }
        }
        if let Some((cause, words)) = watch.look_at_disk(&self.staging.path()) {
            return Verdict::Refused(cause, words);
        }
        match verdict {
            Some(verdict) => verdict,
            None => {
                let told = tokio::time::timeout(LOOK, complaint).await;
                let told = told.ok().and_then(std::result::Result::ok).unwrap_or_default();
                let words = format!("The builder ended before it was done. {told}");
                Verdict::Refused(BuildRefusal::Failed, words.trim_end().to_owned())
            }
        }
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Staging, &BuildAssignment) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (staging, wanted) = (self.staging.clone(), self.wanted.clone());
        let done = tokio::task::spawn_blocking(move || work(&staging, &wanted)).await;
        done.unwrap_or_else(|_| Err(self.failed("it was broken off".to_owned())))
    }

    fn failed(&self, reason: String) -> Error {
        Error::Spawn {
            service: "the environment's builder".to_owned(),
            reason,
        }
    }
}

// === impl Processes ===

impl Drop for Processes {
    fn drop(&mut self) {
        let killed = kill_tree(self.root, &self.mark, self.uid);
        if killed > 0 {
            tracing::info!(processes = killed, "What was left of a build was killed");
        }
    }
}

/// A solver that could not ask says all sorts of things.
fn blamed(told: Verdict, door: Option<&IndexDoor>) -> Verdict {
    match (told, door) {
        (Verdict::Refused(cause, words), Some(door)) => {
            let cause = if door.was_trouble() {
                BuildRefusal::Index
            } else {
                cause
            };
            Verdict::Refused(cause, door.explained(&words))
        }
        (told, _) => told,
    }
}

/// Waits for ever where there is nothing to be read any more.
async fn next(lines: &mut Option<Lines<BufReader<tokio::io::Take<ChildStdout>>>>) -> Option<String> {
    match lines {
        Some(lines) => lines.next_line().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

async fn tail(complaint: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut complaint) = complaint else {
        return String::new();
    };
    let (mut kept, mut chunk) = (Vec::new(), vec![0; 8192]);
    while let Ok(read) = complaint.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&chunk[..read]);
        let skipped = kept.len().saturating_sub(4 * COMPLAINT);
        kept.drain(..skipped);
    }
    last(&String::from_utf8_lossy(&kept), COMPLAINT)
}
