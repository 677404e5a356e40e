//! One process of ours: started in a group of its own, known by pid, start time and boot, found again by the next `up`.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use crate::service::{Service, StopStage};
use crate::{Error, Layout, Result, logs};

/// What a start leaves in `run/`, for whoever comes next.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    service: String,
    pid: i32,
    /// Clock ticks after boot (proc(5), `stat` field 22): with the boot's id, no other process ever has the same.
    start_ticks: u64,
    boot_id: String,
    /// Of program, arguments and environment: a service asked for differently is started anew.
    fingerprint: String,
    stop: Vec<StopStage>,
}

/// A live process, watched through its pidfd: no signal can reach a stranger that got its number.
#[derive(Debug)]
pub(crate) struct Process {
    pid: i32,
    pidfd: AsyncFd<OwnedFd>,
    /// Ours to reap; an adopted one is not our child.
    child: Option<Child>,
}

// === impl Record ===

impl Record {
    fn path(run: &Path, service: &str) -> PathBuf {
        run.join(format!("{service}.json"))
    }

    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    fn write(&self, run: &Path) -> Result<()> {
        let path = Self::path(run, &self.service);
        let json = serde_json::to_vec(self).unwrap_or_default();
        crate::secret::write(&path, &json, None)
    }

    /// The process it speaks of, if that one still lives.
    fn find(&self) -> Option<Process> {
        let process = Process::open(self.pid, None).ok()?;
        // Read after the pidfd was taken: it names the process that was looked at.
        let alive = start_ticks(self.pid) == Some(self.start_ticks) && self.boot_id == boot_id();
        alive.then_some(process)
    }
}

// === impl Process ===

impl Process {
    fn open(pid: i32, child: Option<Child>) -> io::Result<Self> {
        let id = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let pidfd = pidfd_open(id, PidfdFlags::empty())?;
        #[expect(
            deprecated,
            reason = "an `OwnedFd` stays open and the same: its successor is for types that promise less"
        )]
        let pidfd = AsyncFd::with_interest(pidfd, Interest::READABLE)?;
        Ok(Self { pid, pidfd, child })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Starts the service and records it. Its group is its own, so the terminal's Ctrl-C is not for it.
    pub(crate) fn spawn(service: &Service, run: &Path) -> Result<Self> {
        for port in &service.ports {
            crate::ports::ensure_free(*port, &service.name)?;
        }
        let log = logs::open(&service.log).map_err(Error::io("open", &service.log))?;
        let log_too = log.try_clone().map_err(Error::io("open", &service.log))?;
        let mut command = Command::new(&service.program);
        command
            .args(&service.args)
            .env_clear()
            .envs(service.env.iter().map(|(key, value)| (key, value)));
        command.current_dir(&service.directory).process_group(0);
        command.stdin(Stdio::null()).stdout(log).stderr(log_too);
        if service.account.switch {
            command.uid(service.account.uid).gid(service.account.gid);
        }
        let missing = |source| Error::ToolMissing {
            program: service.program.clone(),
            source,
        };
        let child = command.spawn().map_err(missing)?;
        let pid = child.id().cast_signed();
        let process = Self::open(pid, Some(child)).map_err(Error::io("watch", &service.program))?;
        let record = Record {
            service: service.name.clone(),
            pid,
            start_ticks: start_ticks(pid).unwrap_or_default(),
            boot_id: boot_id(),
            fingerprint: fingerprint(service),
            stop: service.stop.clone(),
        };
        record.write(run)?;
        tracing::info!(service.name = %service.name, service.pid = pid, "service started");
        Ok(process)
    }

    /// The process an earlier `up` started for this very service. One started for a different form of it, or from a file
    /// that another has replaced since, is stopped.
    pub(crate) async fn adopt(service: &Service, run: &Path) -> Result<Option<Self>> {
        let Some(record) = Record::read(&Record::path(run, &service.name)) else {
            return Ok(None);
        };
        let Some(mut process) = record.find() else {
            return Ok(None);
        };
        if record.fingerprint == fingerprint(service) && !was_replaced(&service.program, process.pid()) {
            tracing::info!(service.name = %service.name, service.pid = process.pid, "service adopted");
            return Ok(Some(process));
        }
        process.stop(&service.name, &record.stop).await?;
        Ok(None)
    }

    /// Waits until it has exited; tells how, if it was our child.
    pub(crate) async fn exited(&mut self) -> String {
        let _readable_on_exit = self.pidfd.readable().await;
        match self.child.as_mut().map(Child::wait) {
            Some(Ok(status)) => status.to_string(),
            _ => "it exited".to_owned(),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(self.pidfd.get_ref().as_fd(), signal)?)
    }

    /// Asks ever more firmly until it is gone.
    pub(crate) async fn stop(&mut self, name: &str, stages: &[StopStage]) -> Result<()> {
        let last = StopStage {
            signal: Signal::KILL.as_raw(),
            seconds: 5.0,
        };
        for stage in stages.iter().chain([&last]) {
            let Some(signal) = Signal::from_named_raw(stage.signal) else {
                continue;
            };
            if self.signal(signal).is_err() {
                break;
            }
            if timeout(Duration::from_secs_f32(stage.seconds), self.exited())
                .await
                .is_ok()
            {
                tracing::info!(service.name = %name, service.pid = self.pid, "service stopped");
                return Ok(());
            }
        }
        match timeout(Duration::from_millis(10), self.exited()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::ServiceStuck {
                service: name.to_owned(),
                pid: self.pid,
            }),
        }
    }
}

/// Stops what an `up` that was killed has left running. The last started goes first.
///
/// # Errors
/// [`Error::ServiceStuck`] for a process that even SIGKILL does not end.
pub async fn stop_leftovers(layout: &Layout) -> Result<Vec<String>> {
    stop_matching(layout, |_| true).await
}

/// Stops one service that an `up` that was killed has left running; false when it does not run.
///
/// # Errors
/// [`Error::ServiceStuck`] when even SIGKILL does not end it.
pub async fn stop_leftover(layout: &Layout, name: &str) -> Result<bool> {
    Ok(!stop_matching(layout, |service| service == name).await?.is_empty())
}

async fn stop_matching(layout: &Layout, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let entries = fs::read_dir(layout.run()).map_err(Error::io("read", &layout.run()))?;
    let mut records: Vec<Record> = entries
        .flatten()
        .filter_map(|entry| Record::read(&entry.path()))
        .collect();
    records.retain(|record| wanted(&record.service));
    records.sort_by_key(|record| std::cmp::Reverse(record.start_ticks));
    let mut stopped = Vec::new();
    for record in records {
        if let Some(mut process) = record.find() {
            process.stop(&record.service, &record.stop).await?;
            stopped.push(record.service);
        }
    }
    Ok(stopped)
}

/// The start time of a live process; none for one that is gone or waits to be reaped.
pub(crate) fn start_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold anything, also parentheses and spaces: fields are counted from its end.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        None
    } else {
        fields.nth(18)?.parse().ok()
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Whether another file lies now where the process's program lay. Where the program is a script, its process runs another
/// file anyway, and nothing is told by it.
fn was_replaced(program: &Path, pid: i32) -> bool {
    let (Ok(there), Ok(running)) = (program.canonicalize(), fs::read_link(format!("/proc/{pid}/exe"))) else {
        return false;
    };
    is_elf(&there) && there != running
}

fn is_elf(program: &Path) -> bool {
    let mut magic = [0; 4];
    let read = fs::File::open(program).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"\x7fELF"
}

fn fingerprint(service: &Service) -> String {
    let mut digest = Sha256::new();
    let asked = format!(
        "{:?}",
        (&service.program, &service.args, &service.env, service.account.uid)
    );
    digest.update(asked.as_bytes());
    hex::encode(&digest.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, Ready};

    fn sleeper(dir: &Path) -> Service {
        let program = dir.join("sleeper");
        fs::copy("/bin/sleep", &program).unwrap();
        Service {
            name: "sleeper".to_owned(),
            program,
            args: vec!["600".into()],
            env: Vec::new(),
            directory: dir.to_owned(),
            account: Account::current(),
            log: dir.join("sleeper.log"),
            ports: Vec::new(),
            ready: Ready::Says(std::sync::Arc::new(|_| true)),
            patience: Duration::from_secs(5),
            stop: vec![StopStage::terminate(5.0)],
            prepare: None,
        }
    }

    #[tokio::test]
    async fn what_runs_from_a_file_that_was_replaced_is_not_adopted() {
        let dir = tempfile::tempdir().unwrap();
        let service = sleeper(dir.path());
        let mut started = Process::spawn(&service, dir.path()).unwrap();
        let adopted = Process::adopt(&service, dir.path()).await.unwrap();
        assert_eq!(adopted.map(|process| process.pid), Some(started.pid));

        let another = dir.path().join("another");
        fs::copy("/bin/sleep", &another).unwrap();
        fs::rename(&another, &service.program).unwrap();
        assert!(Process::adopt(&service, dir.path()).await.unwrap().is_none());
        timeout(Duration::from_secs(5), started.exited()).await.unwrap();
    }
}
