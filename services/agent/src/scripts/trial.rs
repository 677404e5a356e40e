//! A changed script, tried beside all that runs: once as each role, in directories that are thrown away.

use chrono::Utc;
use updraft_api::agent::{ScriptOutcome, TrialAssignment, TrialReport};
use updraft_model::NodeRole;

use super::output::Output;
use super::run::{Run, remove};
use super::{Failed, Ground, text};
use crate::layout::BOOTSTRAP;

pub(super) fn begun(wanted: &TrialAssignment) -> TrialReport {
    TrialReport {
        digest: wanted.script.digest.clone(),
        attempt: wanted.attempt,
        started_at: Utc::now(),
        finished_at: None,
        role: None,
        outcome: ScriptOutcome::Running,
    }
}

pub(super) async fn run(
    wanted: TrialAssignment,
    mut report: TrialReport,
    ground: Ground,
    tell: impl Fn(TrialReport) + Send + Sync + 'static,
) {
    let tried = tried(&wanted, &ground, |role| {
        report.role = Some(role);
        tell(report.clone());
    });
    report.outcome = match tried.await {
        Ok(()) => ScriptOutcome::Done,
        Err(failed) => failed.outcome(),
    };
    report.finished_at = Some(Utc::now());
    tell(report);
}

async fn tried(
    wanted: &TrialAssignment,
    ground: &Ground,
    mut begins: impl FnMut(NodeRole),
) -> Result<(), Failed> {
    let text = text::to_try(wanted, &ground.delivery).await?;
    for role in &wanted.roles {
        begins(*role);
        as_role(wanted, ground, *role, &text)
            .await
            .map_err(|failed| Failed::new(failed.cause, format!("Tried as {role}: {}", failed.message)))?;
    }
    text::keep(&text, &wanted.script.from, &ground.delivery).await
}

async fn as_role(
    wanted: &TrialAssignment,
    ground: &Ground,
    role: NodeRole,
    text: &str,
) -> Result<(), Failed> {
    let mut ground = ground.clone();
    ground.env.extend([
        ("UPDRAFT_NODE_ROLE".to_owned(), role.to_string()),
        ("UPDRAFT_BOOTSTRAP_TRIAL".to_owned(), "1".to_owned()),
    ]);
    let mut output = Output::open(&ground.layout)?;
    output.note(&format!(
        "The bootstrap script is tried as {role}: nothing of it stays."
    ));
    let run = Run {
        ground: &ground,
        text,
        directory: format!("{BOOTSTRAP}/trial-{role}"),
        env: wanted.script.env.clone(),
        limits: wanted.script.limits,
    };
    let ended = run.to_its_end(&mut output).await;
    remove(&ground, &run.directory)?;
    let how = ended.as_ref().err().map(|failed| failed.message.lines().next());
    output.note(match how.flatten() {
        None => "The trial is done.",
        Some(how) => how,
    });
    ended
}
