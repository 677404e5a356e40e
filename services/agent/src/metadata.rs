//! Finds a metadata database good that the tenant brings, before services start that are given the way to it.
//!
//! Its address is judged here, on the node that connects, at each look; what looks at the database runs as the services' user, with
//! the DSN in its environment alone. What was found good stays so for this node: what becomes of it later is Airflow's to notice.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use updraft_api::agent::{DagDelivery, MetadataAssignment, MetadataOutcome, MetadataRefusal, MetadataReport};
use updraft_outbound::OutboundError;

use crate::dags::outbound;
use crate::layout::{Layout, METADATA};
use crate::place::Ownership;
use crate::supervise::{detached, redacted};

/// Another node is at it: it will not take long.
const WAIT: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A large database of an older Airflow takes its time.
const LONGEST_LOOK: Duration = Duration::from_secs(3600);
const LONGEST_MESSAGE: usize = 1_000;

/// What a look has of its node.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) layout: Layout,
    pub(crate) environment_dir: String,
    /// Says what the installation opens.
    pub(crate) delivery: DagDelivery,
    /// The node is a machine in the tenant's own network.
    pub(crate) from_within: bool,
}

/// The look that is wanted, and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    report: Option<MetadataReport>,
    task: Option<AbortHandle>,
}

/// What the look says.
#[derive(Debug, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Answer {
    Done,
    Waiting,
    Refused { cause: MetadataRefusal, message: String },
}

// === impl Metadata ===

impl Metadata {
    /// Goes on with the look that is wanted, or ends the one that is not and begins it. Reports come over `tell`. True: another one
    /// is wanted than before.
    pub(crate) fn want(
        &mut self,
        wanted: Option<&MetadataAssignment>,
        ground: impl FnOnce() -> Ground,
        tell: impl Fn(MetadataReport) + Send + Sync + 'static,
    ) -> bool {
        let digest = wanted.map(|wanted| &wanted.digest);
        if self.report.as_ref().map(|report| &report.digest) == digest {
            return false;
        }
        self.end();
        self.report = wanted.map(|wanted| {
            let ground = ground();
            let done = was_found_good(&ground.layout, &wanted.digest);
            if !done {
                let task = tokio::spawn(until_good(wanted.clone(), ground, tell));
                self.task = Some(task.abort_handle());
            }
            MetadataReport {
                digest: wanted.digest.clone(),
                outcome: match done {
                    true => MetadataOutcome::Done,
                    false => MetadataOutcome::Running,
                },
            }
        });
        true
    }

    /// Takes what was said, unless it is of another; true when it is news.
    pub(crate) fn note(&mut self, report: MetadataReport) -> bool {
        let current = self.report.as_mut();
        let Some(current) = current.filter(|current| current.digest == report.digest) else {
            return false;
        };
        let news = *current != report;
        *current = report;
        news
    }

    /// Whether services may start that are given the way to it.
    pub(crate) fn is_good(&self) -> bool {
        self.report
            .as_ref()
            .is_none_or(|report| report.outcome == MetadataOutcome::Done)
    }

    pub(crate) fn report(&self) -> Option<&MetadataReport> {
        self.report.as_ref()
    }

    fn end(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.end();
    }
}

fn was_found_good(layout: &Layout, digest: &str) -> bool {
    let noted = layout.place().read(METADATA).ok().flatten();
    noted.is_some_and(|noted| noted == digest.as_bytes())
}

/// Looks until it is good. Each refusal is told.
async fn until_good(
    wanted: MetadataAssignment,
    ground: Ground,
    tell: impl Fn(MetadataReport) + Send + Sync + 'static,
) {
    let tell = |outcome| {
        tell(MetadataReport {
            digest: wanted.digest.clone(),
            outcome,
        });
    };
    let mut pause = FIRST_PAUSE;
    loop {
        match once(&wanted, &ground).await {
            Answer::Done => break,
            Answer::Waiting => {
                tell(MetadataOutcome::Running);
                sleep(WAIT).await;
            }
            Answer::Refused { cause, message } => {
                let message = redacted(&message, &wanted.env);
                let message = message.chars().take(LONGEST_MESSAGE).collect();
                tell(MetadataOutcome::Refused { cause, message });
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    let noted = wanted.digest.as_bytes();
    let written = ground
        .layout
        .place()
        .write(METADATA, noted, 0o600, Ownership::Agent);
    if let Err(error) = written {
        tracing::warn!(
            error = error.chain(),
            "A good metadata database could not be noted"
        );
    }
    tell(MetadataOutcome::Done);
}

async fn once(wanted: &MetadataAssignment, ground: &Ground) -> Answer {
    if let Err(error) = judge(wanted, ground).await {
        return address_refused(error);
    }
    match timeout(LONGEST_LOOK, run(wanted, ground)).await {
        Ok(answer) => answer,
        Err(_) => failed("It was not looked at, or not brought up to date, within an hour."),
    }
}

/// The name is looked up again by what connects; where a machine has several clusters, its firewall holds services to what was meant.
async fn judge(wanted: &MetadataAssignment, ground: &Ground) -> Result<(), OutboundError> {
    let outbound = outbound(&ground.delivery);
    let door = outbound.database_door(&wanted.host, wanted.port, ground.from_within)?;
    door.addresses().await.map(|_| ())
}

async fn run(wanted: &MetadataAssignment, ground: &Ground) -> Answer {
    let Some((program, arguments)) = wanted.argv.split_first() else {
        return failed("The runtime says not how to look at it.");
    };
    let program = Path::new(&ground.environment_dir).join("bin").join(program);
    if !program.is_file() {
        // The cluster's own environment is on its way.
        return Answer::Waiting;
    }
    let work = ground.layout.path("work");
    let owner = ground.layout.place().owner();
    let program = program.to_string_lossy();
    let output = Command::from(detached(&program, arguments, &wanted.env, work, owner))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output()
        .await;
    match output {
        Ok(output) => answer(&output.stdout, &output.stderr),
        Err(error) => failed(&format!("What looks at it could not be started: {error}.")),
    }
}

/// Its last line, or, when it broke off, what it said last.
fn answer(stdout: &[u8], stderr: &[u8]) -> Answer {
    let line = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.trim_end().lines().next_back().unwrap_or_default().to_owned()
    };
    serde_json::from_str(&line(stdout))
        .unwrap_or_else(|_| failed(&format!("The look at it broke off: {}", line(stderr))))
}

fn failed(message: &str) -> Answer {
    Answer::Refused {
        cause: MetadataRefusal::Failed,
        message: message.to_owned(),
    }
}

fn address_refused(error: OutboundError) -> Answer {
    let (cause, message) = match error {
        OutboundError::Forbidden => (
            MetadataRefusal::Forbidden,
            "Its address is not on the public internet, and not opened by the installation.",
        ),
        OutboundError::UnknownHost => (
            MetadataRefusal::Unreachable,
            "It can't be reached: the name of its host is unknown on the node.",
        ),
        _ => (MetadataRefusal::Unreachable, "It can't be reached."),
    };
    Answer::Refused {
        cause,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use updraft_api::agent::MetadataRefusal;
    use updraft_outbound::OutboundError;

    use super::{Answer, address_refused, answer};

    #[test]
    fn an_answer_is_the_last_line_and_all_else_a_failure() {
        assert!(matches!(
            answer(b"noise\n{\"state\":\"done\"}\n", b""),
            Answer::Done
        ));
        assert!(matches!(answer(b"{\"state\":\"waiting\"}", b""), Answer::Waiting));
        let refused = br#"{"state":"refused","cause":"in_use","message":"Another's."}"#;
        let Answer::Refused { cause, message } = answer(refused, b"") else {
            panic!("it is refused");
        };
        assert_eq!((cause, message.as_str()), (MetadataRefusal::InUse, "Another's."));
        let Answer::Refused { cause, message } = answer(b"", b"Traceback\nImportError: x\n") else {
            panic!("it broke off");
        };
        assert_eq!(cause, MetadataRefusal::Failed);
        assert!(message.ends_with("ImportError: x"), "{message}");
    }

    #[test]
    fn a_forbidden_address_is_told_from_one_that_does_not_answer() {
        let cause = |error| match address_refused(error) {
            Answer::Refused { cause, .. } => cause,
            Answer::Done | Answer::Waiting => panic!("it is refused"),
        };
        assert_eq!(cause(OutboundError::Forbidden), MetadataRefusal::Forbidden);
        assert_eq!(cause(OutboundError::UnknownHost), MetadataRefusal::Unreachable);
    }
}
