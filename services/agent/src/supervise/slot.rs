//! One service in the agent's memory: its process, what is known of its health, and its tries.

use std::fmt;
use std::process::Child;
use std::time::Instant;

use chrono::{DateTime, Utc};
use updraft_api::agent::ServiceAssignment;
use updraft_model::{ServiceState, ServiceStatus};

use super::record::{Origin, Record};
use crate::health::{Outcome, Verdict};
use crate::plan::{Attempts, Because, Observed, Process};
use crate::process::{Handle, ProcessId};

/// How a process ended, as far as anybody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Code(i32),
    Signal(i32),
    /// Nobody waited for it: its parent is gone.
    Unknown,
}

#[derive(Debug)]
pub struct Slot {
    /// What its process runs with, or would.
    pub assignment: ServiceAssignment,
    pub record: Record,
    pub attempts: Attempts,
    state: State,
    /// Why it is not healthy, or how it last ended.
    pub detail: Option<String>,
    /// When the latest process became healthy.
    pub healthy_at: Option<DateTime<Utc>>,
}

#[derive(Debug)]
enum State {
    None,
    Launching,
    Running(Running),
    Stopping {
        running: Running,
        since: Instant,
        because: Because,
        killed: bool,
    },
}

#[derive(Debug)]
struct Running {
    handle: Handle,
    child: Option<Child>,
    started: Instant,
    verdict: Verdict,
    healthy_since: Option<Instant>,
    check: Option<tokio::task::AbortHandle>,
}

/// What a change of health means for those who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthChange {
    None,
    /// For the first time in this process's life.
    Proven,
    Recovered,
    Lost(String),
}

// === impl Ended ===

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with status {code}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::Unknown => f.write_str("ended"),
        }
    }
}

impl From<std::process::ExitStatus> for Ended {
    fn from(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

// === impl Slot ===

impl Slot {
    #[must_use]
    pub fn new(assignment: ServiceAssignment, record: Option<Record>) -> Self {
        let record = record.unwrap_or_else(|| Record {
            name: assignment.name,
            boot: String::new(),
            process: None,
            started_at: Utc::now(),
            origin: Origin::Direct,
            digest: String::new(),
            restart_nonce: 0,
            restarts: 0,
            proven: false,
            log_offset: 0,
            orphaned: Vec::new(),
        });
        Self {
            assignment,
            record,
            attempts: Attempts::default(),
            state: State::None,
            detail: None,
            healthy_at: None,
        }
    }

    #[must_use]
    pub fn observed(&self) -> Observed {
        let process = match &self.state {
            State::None => Process::None,
            State::Launching => Process::Launching,
            State::Running(running) => Process::Running {
                started: running.started,
                digest: self.record.digest.clone(),
                restart_nonce: self.record.restart_nonce,
                health: running.verdict.health(),
            },
            State::Stopping {
                since,
                because,
                killed,
                ..
            } => Process::Stopping {
                since: *since,
                because: *because,
                killed: *killed,
            },
        };
        Observed {
            assignment: self.assignment.clone(),
            process,
            attempts: self.attempts.clone(),
            held_until: None,
        }
    }

    #[must_use]
    pub fn status(&self, state: ServiceState) -> ServiceStatus {
        let id = self.process();
        ServiceStatus {
            name: self.assignment.name,
            state,
            pid: id.map(|id| id.pid),
            started_at: id.map(|_| self.record.started_at),
            restarts: self.record.restarts,
            detail: if state == ServiceState::Healthy {
                None
            } else {
                self.detail.clone()
            },
        }
    }

    /// The living process.
    #[must_use]
    pub fn process(&self) -> Option<ProcessId> {
        match &self.state {
            State::None | State::Launching => None,
            State::Running(running) | State::Stopping { running, .. } => Some(running.handle.id()),
        }
    }

    #[must_use]
    pub fn handle(&self) -> Option<Handle> {
        match &self.state {
            State::None | State::Launching => None,
            State::Running(running) | State::Stopping { running, .. } => Some(running.handle.clone()),
        }
    }

    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::None)
    }

    pub fn launch(&mut self) {
        self.state = State::Launching;
        self.healthy_at = None;
    }

    /// It runs now; adopted, its health is remembered.
    pub fn adopt(&mut self, handle: Handle, started: Instant, now: Instant) {
        self.run(handle, None, started);
        if let State::Running(running) = &mut self.state
            && self.record.proven
        {
            running.verdict = Verdict::remembered(now);
            running.healthy_since = Some(now);
            self.healthy_at = Some(self.record.started_at);
        }
    }

    /// It runs now, newly started.
    pub fn run(&mut self, handle: Handle, child: Option<Child>, now: Instant) {
        self.state = State::Running(Running {
            handle,
            child,
            started: now,
            verdict: Verdict::default(),
            healthy_since: None,
            check: None,
        });
    }

    pub fn watch(&mut self, check: tokio::task::AbortHandle) {
        if let State::Running(running) = &mut self.state {
            running.check = Some(check);
        }
    }

    pub fn stop(&mut self, because: Because, now: Instant) {
        self.state = match std::mem::replace(&mut self.state, State::None) {
            State::Running(running) => {
                running.end_check();
                State::Stopping {
                    running,
                    since: now,
                    because,
                    killed: false,
                }
            }
            other => other,
        };
    }

    /// Where it is stopping: its grace begins now.
    pub fn count_grace_from(&mut self, now: Instant) {
        if let State::Stopping { since, .. } = &mut self.state {
            *since = now;
        }
    }

    pub fn kill(&mut self) {
        if let State::Stopping { killed, .. } = &mut self.state {
            *killed = true;
        }
    }

    /// Its process has ended, or could not be started. `None` when that was asked for.
    pub fn end(&mut self, now: Instant) -> Option<Attempts> {
        let (asked, healthy_for, child) = match std::mem::replace(&mut self.state, State::None) {
            State::None => return None,
            State::Launching => (false, None, None),
            State::Running(running) => {
                running.end_check();
                (
                    false,
                    running.healthy_since.map(|since| now - since),
                    running.child,
                )
            }
            State::Stopping { running, because, .. } => match because {
                Because::Unwanted | Because::Changed => (true, None, running.child),
                Because::FailedToStart => (false, None, running.child),
                Because::Unhealthy => (
                    false,
                    running.healthy_since.map(|since| now - since),
                    running.child,
                ),
            },
        };
        if let Some(mut child) = child {
            // It has ended: this only takes its zombie away.
            let _ = child.try_wait();
        }
        self.record.process = None;
        self.attempts = if asked {
            Attempts::default()
        } else {
            self.attempts.after_failure(healthy_for, now)
        };
        if asked {
            self.detail = None;
            return None;
        }
        Some(self.attempts.clone())
    }

    /// How this agent's own child ended; `None` for others'.
    pub fn reap(&mut self) -> Option<Ended> {
        let (State::Running(running) | State::Stopping { running, .. }) = &mut self.state else {
            return None;
        };
        running.child.as_mut()?.try_wait().ok().flatten().map(Ended::from)
    }

    pub fn note(&mut self, id: ProcessId, outcome: &Outcome, now: Instant) -> HealthChange {
        let State::Running(running) = &mut self.state else {
            return HealthChange::None;
        };
        if running.handle.id() != id {
            return HealthChange::None;
        }
        let was_healthy = running.verdict.is_healthy();
        let proven = running.healthy_since.is_some();
        self.detail = outcome.reason().map(|reason| reason.chars().take(500).collect());
        running.verdict = running.verdict.after(outcome, now);
        match (was_healthy, running.verdict.is_healthy()) {
            (false, true) => {
                running.healthy_since.get_or_insert(now);
                self.healthy_at.get_or_insert_with(Utc::now);
                self.attempts = self.attempts.after_health();
                if proven {
                    HealthChange::Recovered
                } else {
                    HealthChange::Proven
                }
            }
            (true, false) if running.verdict.is_failing() => {
                HealthChange::Lost(outcome.reason().unwrap_or_default().to_owned())
            }
            _ => HealthChange::None,
        }
    }
}

// === impl Running ===

impl Running {
    fn end_check(&self) {
        if let Some(check) = &self.check {
            check.abort();
        }
    }
}
