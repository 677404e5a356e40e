//! One build from beginning to end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use updraft_api::agent::{BuildAssignment, BuildRefusal, BuildReport, KeptReport};

use super::enclosure::{View, enclosed};
use super::index::IndexDoor;
use super::kept::Kept;
use super::progress::{Verdict, conclude, last, take};
use super::staging::{Part, Staging};
use super::watch::Watch;
use crate::dags::plugins;
use crate::error::{Error, Result};
use crate::process::{MARK, ProcessId, kill_tree};
use crate::supervise::service_uid;

const LOOK: Duration = Duration::from_millis(200);
/// Between tries at the bucket.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
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

/// Where an environment came from.
enum Origin {
    /// It was in its place.
    Found,
    Built,
    Fetched {
        shared: bool,
    },
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
        let done = if Path::new(&self.wanted.directory).is_dir() {
            Ok((Verdict::Ready, Origin::Found))
        } else {
            self.build().await
        };
        let (verdict, origin) = done.unwrap_or_else(|error| {
            tracing::warn!(error = error.chain(), "An environment could not be built");
            (
                Verdict::Refused(BuildRefusal::Failed, error.chain()),
                Origin::Found,
            )
        });
        let is_ready = verdict == Verdict::Ready;
        conclude(&mut self.report, verdict, Utc::now());
        self.say();
        if is_ready {
            self.keep(origin).await;
        }
    }

    fn say(&self) {
        // Nobody listens when the agent is ending.
        let _ = self.said.send(self.report.clone());
    }

    async fn build(&mut self) -> Result<(Verdict, Origin)> {
        let deadline = Instant::now() + Duration::from_secs(self.wanted.limits.time_s.into());
        self.off_thread(|staging, _| staging.prepare()).await?;
        let (mut verdict, origin) = match self.fetch().await {
            Some(shared) => (Verdict::Ready, Origin::Fetched { shared }),
            None => (self.make(deadline).await?, Origin::Built),
        };
        if verdict == Verdict::Ready {
            verdict = self.run_part(Part::Check, deadline, None).await?;
        }
        if verdict == Verdict::Ready {
            self.off_thread(|staging, wanted| staging.publish(Path::new(&wanted.directory)))
                .await?;
        }
        self.off_thread(|staging, _| staging.remove()).await?;
        Ok((verdict, origin))
    }

    /// What control offers, in the place of what would be made; whether other clusters may take it too. None: it is to be
    /// built.
    async fn fetch(&self) -> Option<bool> {
        let staging = &self.staging;
        let fetched = async {
            let (digest, most) = (&self.wanted.digest, self.wanted.limits.disk_bytes);
            let control = &staging.surroundings.control;
            let Some(offer) = staging.aside.download(control, digest, most).await? else {
                return Ok(None);
            };
            self.off_thread(|staging, wanted| staging.take_fetched(wanted))
                .await?;
            Ok::<_, Error>(Some(offer.shared))
        };
        match fetched.await {
            Ok(None) => None,
            Ok(Some(shared)) => {
                tracing::info!(
                    environment = self.wanted.digest,
                    shared,
                    "An environment was fetched"
                );
                Some(shared)
            }
            Err(error) => {
                tracing::warn!(
                    error = error.chain(),
                    "A kept environment is not taken: it is built anew"
                );
                None
            }
        }
    }

    /// Ready: it is sealed.
    async fn make(&mut self, deadline: Instant) -> Result<Verdict> {
        let door = match self.door().await {
            Ok(door) => door,
            Err(error) => return Ok(Verdict::Refused(BuildRefusal::Index, error.chain())),
        };
        self.staging.plugins = self.plugins().await?;
        self.staging.own_index = door.as_ref().map(|door| door.url.clone());
        let verdict = self.run_part(Part::Make, deadline, door.as_ref()).await?;
        if verdict == Verdict::Ready {
            self.off_thread(|staging, _| staging.seal()).await?;
        }
        Ok(verdict)
    }

    async fn run_part(&mut self, part: Part, deadline: Instant, door: Option<&IndexDoor>) -> Result<Verdict> {
        self.off_thread(move |staging, wanted| staging.begin(part, wanted))
            .await?;
        let mut child = self.start(part)?;
        let processes = self.processes(part, &child)?;
        let verdict = self.attend(part, &mut child, &processes, deadline).await;
        // Before anything is taken over: nothing of the part may go on.
        drop(processes);
        Ok(blamed(verdict, door))
    }

    /// Once, however long the bucket is away: whoever lacks it need not build it anew.
    async fn keep(&mut self, origin: Origin) {
        if matches!(origin, Origin::Found | Origin::Built) && !self.wanted.recorded {
            let pack = |staging: &Staging, wanted: &BuildAssignment| {
                staging.aside.pack(Path::new(&wanted.directory))
            };
            if let Err(error) = self.off_thread(pack).await {
                tracing::warn!(error = error.chain(), "An environment could not be packed");
                return;
            }
        }
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.try_to_keep(&origin).await {
            tracing::warn!(
                error = error.chain(),
                "An environment could not be kept in the bucket: other nodes can't have it yet"
            );
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_to_keep(&mut self, origin: &Origin) -> Result<()> {
        let kept = Kept::of(&self.staging.surroundings.bucket)?;
        let is_known = matches!(origin, Origin::Found | Origin::Built) && self.wanted.recorded;
        if !is_known && self.report.kept.is_none() {
            let aside = &self.staging.aside;
            let copy = kept.put(&self.wanted.digest, &aside.archive()).await?;
            aside.end()?;
            self.report.kept = Some(KeptReport {
                sha256: copy.sha256,
                bytes: copy.bytes,
                apart: match origin {
                    // Nobody knows any more.
                    Origin::Found => false,
                    Origin::Built => self.staging.is_apart(),
                    Origin::Fetched { shared } => *shared,
                },
            });
            self.say();
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

    fn start(&self, part: Part) -> Result<Child> {
        let surroundings = &self.staging.surroundings;
        let mut env = match part {
            Part::Make => BTreeMap::new(),
            Part::Check => surroundings.env.clone(),
        };
        env.insert(MARK.to_owned(), surroundings.mark.clone());
        env.entry("PATH".to_owned())
            .or_insert_with(|| "/usr/bin:/bin".to_owned());
        let program = format!("{}/bin/python", self.wanted.base_dir);
        let request = self.staging.request(part).to_string_lossy().into_owned();
        let arguments = ["-I", "-m", "updraft_airflow.environment", "--request", &request].map(str::to_owned);
        let view = View {
            own: &self.staging.path(part),
            kept: match part {
                Part::Make => self.staging.plugins.as_deref(),
                Part::Check => surroundings.dags.as_deref().and_then(Path::parent),
            },
            covered: &surroundings.covered,
        };
        let command = enclosed(&program, &arguments, &env, &view, self.staging.owner(part));
        Command::from(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.failed(format!("`{program}`: {error}")))
    }

    fn processes(&self, part: Part, child: &Child) -> Result<Processes> {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Ok(Processes {
            root: pid
                .and_then(ProcessId::of)
                .ok_or_else(|| self.failed("it ended at once".to_owned()))?,
            mark: self.staging.surroundings.mark.clone(),
            uid: service_uid(self.staging.owner(part)),
        })
    }

    /// Listens and watches until it has ended or has taken too much.
    async fn attend(
        &mut self,
        part: Part,
        child: &mut Child,
        processes: &Processes,
        deadline: Instant,
    ) -> Verdict {
        let complaint = tokio::spawn(tail(child.stderr.take()));
        let mut lines = child
            .stdout
            .take()
            .map(|out| BufReader::new(out.take(16 * LINE)).lines());
        let limits = self.wanted.limits;
        let mut watch = Watch::new(processes.root, processes.mark.clone(), processes.uid, limits);
        let directory = self.staging.path(part);
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
                    if let Some((cause, words)) = watch.look(&directory) {
                        return Verdict::Refused(cause, words);
                    }
                }
                line = next(&mut lines) => match line {
                    Some(line) => {
                        verdict = take(&mut self.report, &line, Utc::now()).or(verdict);
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
        if let Some((cause, words)) = watch.look_at_disk(&directory) {
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
