//! The timeline of a changed environment: solved, installed, checked, then rolled out.

use updraft_model::{Step, StepState};

use super::Draft;
use crate::desired::{Desired, EnvironmentChange, Operation};
use crate::observed::{Build, BuildOutcome, BuildStageKind, Observed};

const PREFIX: &str = "environment/";

pub(super) fn drafts(desired: &Desired, observed: &Observed, operation: &Operation) -> Vec<Draft> {
    let build = observed.build.as_ref();
    match &desired.environment {
        EnvironmentChange::Settled => recorded(operation, StepState::Done, None),
        EnvironmentChange::Abandoned { failure, .. } => {
            recorded(operation, StepState::Failed, Some(&failure.message))
        }
        EnvironmentChange::Building => building(build)
            .into_iter()
            .chain(roll_out(StepState::Pending, StepState::Pending))
            .collect(),
        EnvironmentChange::Workers { .. } => after_build(operation, StepState::Running, StepState::Pending),
        EnvironmentChange::All { .. } => after_build(operation, StepState::Done, StepState::Running),
    }
}

/// As an earlier look wrote them; what was not over then is now.
fn recorded(operation: &Operation, ended: StepState, detail: Option<&str>) -> Vec<Draft> {
    let steps = operation.steps.iter().filter(|step| step.id.starts_with(PREFIX));
    let mut over = false;
    steps
        .filter(|step| ended == StepState::Done || step.state != StepState::Pending)
        .map(|step| {
            let open = !matches!(step.state, StepState::Done | StepState::Failed);
            let state = if open { ended } else { step.state };
            let first = open && !std::mem::replace(&mut over, open);
            let detail = detail.filter(|_| first).map(str::to_owned);
            Draft {
                state,
                detail: detail.or_else(|| step.detail.clone()),
                ..of(step)
            }
        })
        .collect()
}

fn after_build(operation: &Operation, workers: StepState, others: StepState) -> Vec<Draft> {
    let is_build = |step: &&Step| step.id.starts_with(PREFIX) && !is_roll_out(&step.id);
    let built = operation.steps.iter().filter(is_build).map(|step| Draft {
        state: StepState::Done,
        ..of(step)
    });
    built.chain(roll_out(workers, others)).collect()
}

fn building(build: Option<&Build>) -> Vec<Draft> {
    let planned = build.map(|build| build.planned.as_slice()).unwrap_or_default();
    planned
        .iter()
        .copied()
        .map(|kind| {
            let (id, title) = words(kind);
            let stage = build.and_then(|build| build.stages.iter().find(|stage| stage.kind == kind));
            let draft = Draft::new(&format!("{PREFIX}{id}"), title, StepState::Pending);
            let Some(stage) = stage else { return draft };
            let refused = build.is_some_and(|build| matches!(build.outcome, BuildOutcome::Refused(_)));
            Draft {
                state: match stage.finished_at {
                    Some(_) => StepState::Done,
                    None if refused => StepState::Failed,
                    None => StepState::Running,
                },
                started_at: Some(stage.started_at),
                finished_at: stage.finished_at,
                detail: stage.detail.clone(),
                ..draft
            }
        })
        .collect()
}

fn words(kind: BuildStageKind) -> (&'static str, &'static str) {
    match kind {
        BuildStageKind::Solve => ("solve", "Solve the requirements"),
        BuildStageKind::Install => ("install", "Install the packages"),
        BuildStageKind::Check => ("check", "Check Airflow and the DAGs"),
        BuildStageKind::Script => ("script", "Try the bootstrap script"),
    }
}

fn roll_out(workers: StepState, others: StepState) -> [Draft; 2] {
    [
        Draft::new(
            &format!("{PREFIX}workers"),
            "Workers change over once their tasks are done",
            workers,
        ),
        Draft::new(
            &format!("{PREFIX}others"),
            "Scheduler and web change over",
            others,
        ),
    ]
}

fn is_roll_out(id: &str) -> bool {
    id.ends_with("/workers") || id.ends_with("/others")
}

fn of(step: &Step) -> Draft {
    Draft {
        started_at: step.started_at,
        finished_at: step.finished_at,
        detail: step.detail.clone(),
        ..Draft::new(&step.id, &step.title, step.state)
    }
}
