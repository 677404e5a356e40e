//! What Airflow keeps encrypted, written anew by Airflow's own command, once for each turn of the cluster's keys.
//!
//! The command works in one transaction and may be run again at any time: whoever dies over it, agent or command, has changed
//! nothing or all. A failure is told after the last of a few tries; what follows from it is control's to decide.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use updraft_api::agent::{ReencryptionAssignment, ReencryptionOutcome, ReencryptionReport};

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::place::Ownership;
use crate::process::{MARK, kill_marked};
use crate::supervise::{detached, redacted_tail, service_uid};

/// The agent's own: it is not shipped.
const OUTPUT: &str = "run/reencryption.log";
/// The database may be away for a moment.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(5);

/// What is wanted of this node, and how far it is.
#[derive(Debug, Default)]
pub(crate) struct Reencryption {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    report: ReencryptionReport,
    /// None while its environment is not there.
    task: Option<Ending>,
}

#[derive(Debug)]
struct Ending(AbortHandle);

// === impl Reencryption ===

impl Reencryption {
    /// Goes on with what is wanted, or ends what is not. It begins when the node is `ready`; reports come over `tell`.
    pub(crate) fn want(
        &mut self,
        wanted: Option<&ReencryptionAssignment>,
        ready: bool,
        (layout, mark): (&Layout, String),
        tell: impl Fn(ReencryptionReport) + Send + 'static,
    ) {
        let Some(wanted) = wanted else {
            self.current = None;
            return;
        };
        let attempt = wanted.attempt;
        self.current.take_if(|current| current.report.attempt != attempt);
        let current = self.current.get_or_insert_with(|| Current {
            report: ReencryptionReport {
                attempt,
                outcome: ReencryptionOutcome::Running,
            },
            task: None,
        });
        if ready && current.task.is_none() {
            let work = tried(wanted.clone(), layout.clone(), mark);
            let task = tokio::spawn(async move {
                let outcome = work.await;
                tell(ReencryptionReport { attempt, outcome });
            });
            current.task = Some(Ending(task.abort_handle()));
        }
    }

    /// Takes what was said, unless it is of another turn.
    pub(crate) fn note(&mut self, report: ReencryptionReport) {
        let current = self.current.as_mut();
        if let Some(current) = current.filter(|current| current.report.attempt == report.attempt) {
            current.report = report;
        }
    }

    pub(crate) fn report(&self) -> Option<&ReencryptionReport> {
        self.current.as_ref().map(|current| &current.report)
    }
}

// === impl Ending ===

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn tried(wanted: ReencryptionAssignment, layout: Layout, mark: String) -> ReencryptionOutcome {
    for attempt in 1.. {
        match run(&wanted, &layout, &mark).await {
            Ok(()) => return ReencryptionOutcome::Done,
            Err(error) if attempt >= TRIES => {
                let message = error.chain().chars().take(500).collect();
                return ReencryptionOutcome::Failed { message };
            }
            Err(error) => tracing::warn!(
                error = error.chain(),
                "Keys could not be rotated; it is tried again"
            ),
        }
        sleep(PAUSE).await;
    }
    ReencryptionOutcome::Running
}

async fn run(wanted: &ReencryptionAssignment, layout: &Layout, mark: &str) -> Result<()> {
    let place = layout.place();
    // An agent that was killed left it running.
    end_what_is_left(mark, layout);
    place.remove(OUTPUT)?;
    let output = place.append(OUTPUT, 0o600, Ownership::Agent)?;
    let errors = output.try_clone().map_err(|error| failed(error.to_string()))?;
    let (program, arguments) = wanted
        .argv
        .split_first()
        .ok_or_else(|| failed("there is no command".to_owned()))?;
    let mut env = wanted.env.clone();
    env.insert(MARK.to_owned(), mark.to_owned());
    let command = detached(program, arguments, &env, layout.path("work"), place.owner());
    let mut child = Command::from(command)
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(errors))
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("`{program}`: {error}")))?;
    let limit = Duration::from_secs(wanted.time_limit_s.into());
    let how = match timeout(limit, child.wait()).await {
        Ok(Ok(status)) if status.success() => None,
        Ok(Ok(status)) => Some(format!("it ended with {status}")),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("it did not end within {} s", wanted.time_limit_s)),
    };
    let said = redacted_tail(place, OUTPUT, 0, &env, &[]);
    end_what_is_left(mark, layout);
    place.remove(OUTPUT)?;
    match how {
        None => Ok(()),
        Some(how) if said.is_empty() => Err(failed(how)),
        Some(how) => Err(failed(format!("{how}. Its last words:\n{said}"))),
    }
}

fn end_what_is_left(mark: &str, layout: &Layout) {
    let killed = kill_marked(mark, service_uid(layout.place().owner()));
    if killed > 0 {
        tracing::info!(processes = killed, "A rotation of the Fernet key was ended");
    }
}

fn failed(reason: String) -> Error {
    Error::Spawn {
        service: "the rotation of the Fernet key".to_owned(),
        reason,
    }
}
