//! One run of a script, from its directory to its end.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{MissedTickBehavior, interval, timeout};
use updraft_api::agent::{BuildLimits, BuildRefusal, ScriptFailure};

use super::output::Output;
use super::{Failed, Ground};
use crate::builds::{Processes, View, Watch, enclosed, kernel_limit};
use crate::error::{Error, Result};
use crate::place::Ownership;
use crate::process::{MARK, ProcessId, kill_marked};
use crate::supervise::service_uid;

const LOOK: Duration = Duration::from_millis(200);
const SCRIPT: &str = ".bootstrap";
/// The kernel's limits, then the script. A hard limit that is lower already stays.
const LIMITED: &str = r#"exec 2>&1; umask 022
for limit in "-c 0" "-f $1" "-v $2" "-u $3" "-t $4"; do ulimit $limit 2>/dev/null; done
# Its own first process would be sent no signal by itself.
shift 4; nice -n 10 "$@"; exit $?"#;
/// Times the memory: much of what is reserved is never used.
const ADDRESS_SPACE: u64 = 4;

/// What is run, and where.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) ground: &'a Ground,
    pub(super) text: &'a str,
    /// Below the node's directory; made empty.
    pub(super) directory: String,
    /// Besides the node's.
    pub(super) env: BTreeMap<String, String>,
    pub(super) limits: BuildLimits,
}

// === impl Run ===

impl Run<'_> {
    /// Ends with the script, and with all that it left running.
    pub(super) async fn to_its_end(&self, output: &mut Output) -> std::result::Result<(), Failed> {
        self.prepare()?;
        let mut child = self.start()?;
        let processes = self.processes(&child)?;
        let ended = self.attend(&mut child, &processes, output).await;
        drop(processes);
        let said = output.tail();
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failed::new(ScriptFailure::Exit, told(&how(status), &said))),
            Err(failed) => Err(Failed::new(failed.cause, told(&failed.message, &said))),
        }
    }

    fn prepare(&self) -> Result<()> {
        let place = self.ground.layout.place();
        // An agent that was killed left its script running.
        let killed = kill_marked(&self.ground.mark, service_uid(place.owner()));
        if killed > 0 {
            tracing::info!(processes = killed, "The script of an earlier agent was ended");
        }
        remove(self.ground, &self.directory)?;
        place.directory(&self.directory, 0o700, Ownership::Service)?;
        place.directory(&format!("{}/tmp", self.directory), 0o700, Ownership::Service)?;
        let name = format!("{}/{SCRIPT}", self.directory);
        place.write_soon(&name, self.text.as_bytes(), 0o700, Ownership::Service)
    }

    fn start(&self) -> Result<Child> {
        let directory = self.ground.layout.path(&self.directory);
        let script = directory.join(SCRIPT).to_string_lossy().into_owned();
        let uid = service_uid(self.ground.layout.place().owner());
        let limits = [
            self.limits.disk_bytes / 1024,
            self.limits.memory_bytes * ADDRESS_SPACE / 1024,
            u64::from(kernel_limit(self.limits.processes, uid)),
            u64::from(self.limits.time_s),
        ];
        let mut arguments = vec!["-c".to_owned(), LIMITED.to_owned(), "bootstrap".to_owned()];
        arguments.extend(limits.map(|limit| limit.to_string()));
        if !self.text.starts_with("#!") {
            arguments.push("/bin/bash".to_owned());
        }
        arguments.push(script);
        let owner = self.ground.layout.place().owner();
        let view = View {
            own: &directory,
            kept: None,
            covered: &self.ground.covered,
        };
        let command = enclosed("/bin/bash", &arguments, &self.environment(), &view, owner);
        Command::from(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(format!("bash: {error}")))
    }

    /// What the cluster sets first, what the node says last: nobody is told another role or directory.
    fn environment(&self) -> BTreeMap<String, String> {
        let directory = self.ground.layout.path(&self.directory);
        let directory = directory.to_string_lossy().into_owned();
        let mut env = self.env.clone();
        env.extend(self.ground.env.clone());
        env.extend([
            ("HOME".to_owned(), directory.clone()),
            ("TMPDIR".to_owned(), format!("{directory}/tmp")),
            ("UPDRAFT_BOOTSTRAP_DIR".to_owned(), directory),
            (MARK.to_owned(), self.ground.mark.clone()),
        ]);
        env
    }

    fn processes(&self, child: &Child) -> Result<Processes> {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let root = pid.and_then(ProcessId::of);
        Ok(Processes {
            root: root.ok_or_else(|| failed("it ended at once".to_owned()))?,
            mark: self.ground.mark.clone(),
            uid: service_uid(self.ground.layout.place().owner()),
        })
    }

    /// Listens and watches until it has ended or has taken too much.
    async fn attend(
        &self,
        child: &mut Child,
        processes: &Processes,
        output: &mut Output,
    ) -> std::result::Result<ExitStatus, Failed> {
        let directory = self.ground.layout.path(&self.directory);
        let mut said = child.stdout.take();
        let mut watch = Watch::new(processes.root, processes.mark.clone(), processes.uid, self.limits);
        let deadline = Instant::now() + Duration::from_secs(self.limits.time_s.into());
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut chunk = vec![0; 8192];
        let status = loop {
            tokio::select! {
                biased;
                _ = looks.tick() => {
                    if Instant::now() >= deadline {
                        let words = format!("It did not end within {} s.", self.limits.time_s);
                        return Err(Failed::new(ScriptFailure::Time, words));
                    }
                    if let Some((cause, words)) = watch.look(&directory) {
                        return Err(Failed::new(exceeded(cause), words));
                    }
                }
                status = child.wait() => break status.map_err(|error| failed(error.to_string()))?,
                read = next(&mut said, &mut chunk) => match read {
                    0 => said = None,
                    read => output.take(&chunk[..read]),
                },
            }
        };
        // What it began in the background may hold its output open for ever.
        while let Ok(read) = timeout(LOOK, next(&mut said, &mut chunk)).await
            && read > 0
        {
            output.take(&chunk[..read]);
        }
        match watch.look_at_disk(&directory) {
            Some((cause, words)) => Err(Failed::new(exceeded(cause), words)),
            None => Ok(status),
        }
    }
}

/// Waits for ever where there is nothing to be read any more.
async fn next(said: &mut Option<ChildStdout>, chunk: &mut [u8]) -> usize {
    match said {
        Some(said) => said.read(chunk).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Removes a directory of scripts with all that is in it.
pub(super) fn remove(ground: &Ground, directory: &str) -> Result<()> {
    let path = ground.layout.path(directory);
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

fn exceeded(cause: BuildRefusal) -> ScriptFailure {
    match cause {
        BuildRefusal::Time => ScriptFailure::Time,
        BuildRefusal::Memory => ScriptFailure::Memory,
        BuildRefusal::Disk => ScriptFailure::Disk,
        BuildRefusal::Processes => ScriptFailure::Processes,
        _ => ScriptFailure::Failed,
    }
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        // As shells say it, who end with higher ones for reasons of their own.
        (Some(code @ 129..=192), _) => format!("It was ended by signal {}.", code - 128),
        (Some(code), _) => format!("It ended with exit code {code}."),
        (None, Some(signal)) => format!("It was ended by signal {signal}."),
        (None, None) => "It ended.".to_owned(),
    }
}

fn told(how: &str, said: &str) -> String {
    if said.is_empty() {
        format!("{how} It said nothing.")
    } else {
        format!("{how} Its last lines:\n{said}")
    }
}

fn failed(reason: String) -> Error {
    Error::Spawn {
        service: "the bootstrap script".to_owned(),
        reason,
    }
}
