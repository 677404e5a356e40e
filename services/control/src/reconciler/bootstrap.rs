//! What nodes say of bootstrap scripts, in the planner's words.

use updraft_api::agent::{ScriptFailure, ScriptOutcome, ScriptReport, TrialReport};
use updraft_model::Failure;
use updraft_planner::{BuildOutcome, BuildStage, BuildStageKind};

/// Why services do not start on a node.
pub(super) fn failure(report: &ScriptReport) -> Option<Failure> {
    match &report.outcome {
        ScriptOutcome::Failed { cause, message } => {
            Some(explained(*cause, message, "so no service starts with it."))
        }
        ScriptOutcome::Running | ScriptOutcome::Done => None,
    }
}

pub(super) fn outcome(trial: &TrialReport) -> BuildOutcome {
    match &trial.outcome {
        ScriptOutcome::Running => BuildOutcome::Running,
        ScriptOutcome::Done => BuildOutcome::Ready,
        ScriptOutcome::Failed { cause, message } => {
            BuildOutcome::Refused(explained(*cause, message, "so nothing was changed."))
        }
    }
}

pub(super) fn stage(trial: &TrialReport) -> BuildStage {
    let is_done = trial.outcome == ScriptOutcome::Done;
    BuildStage {
        kind: BuildStageKind::Script,
        started_at: trial.started_at,
        // A refusal leaves the stage open in which it came.
        finished_at: trial.finished_at.filter(|_| is_done),
        detail: trial.role.map(|role| format!("as {role}")),
    }
}

/// The cause is ours to explain; the message has the script's own last lines.
fn explained(cause: ScriptFailure, message: &str, so: &str) -> Failure {
    let (code, what, remedy) = match cause {
        ScriptFailure::Source => (
            "bootstrap_unreadable",
            "The bootstrap script could not be read",
            "Correct bucket, key or credential, then ask for it again.",
        ),
        ScriptFailure::Exit => (
            "bootstrap_failed",
            "The bootstrap script failed",
            "Correct the script; all that it said is in the node's log `bootstrap`.",
        ),
        ScriptFailure::Time => (
            "bootstrap_time_limit",
            "The bootstrap script took too long",
            "Raise its `time_limit_s`, or find what hangs.",
        ),
        ScriptFailure::Memory => (
            "bootstrap_memory_limit",
            "The bootstrap script took too much memory",
            "Have it do less at once.",
        ),
        ScriptFailure::Disk => (
            "bootstrap_disk_limit",
            "The bootstrap script took too much disk",
            "Have it keep less below its directory.",
        ),
        ScriptFailure::Processes => (
            "bootstrap_process_limit",
            "The bootstrap script ran too many processes",
            "Have it run fewer at once.",
        ),
        ScriptFailure::Failed => (
            "bootstrap_not_run",
            "The bootstrap script could not be run",
            "Ask for it again; look at the node's agent if it stays.",
        ),
    };
    Failure {
        code: code.to_owned(),
        message: format!("{what}, {so} {}", message.trim()).trim_end().to_owned(),
        remedy: remedy.to_owned(),
    }
}
