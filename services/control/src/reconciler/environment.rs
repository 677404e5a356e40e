//! The change of a cluster's environment: from its row and its builder's report to the planner's words, and back.

use updraft_api::agent::{
    BuildOutcome, BuildRefusal, BuildReport, BuildStage, BuildStageReport, Report, TrialReport,
};
use updraft_model::{ClusterSpec, Failure};
use updraft_planner::{self as planner, EnvironmentChange, EnvironmentStage};
use updraft_store::StoreError;
use updraft_store::environment_changes::{self, EnvironmentChange as Record, Stage};
use updraft_store::events::{self, EventSeverity};
use updraft_store::leases::Lease;

use super::execute::{Progress, commit};
use super::observe::View;
use super::record::{cluster_event, failure_sentence};
use super::{ReconcileError, Reconciler, bootstrap};

pub(super) fn change(record: Option<&Record>) -> EnvironmentChange {
    let Some(record) = record else {
        return EnvironmentChange::Settled;
    };
    let since = record.changed_at;
    match record.stage {
        Stage::Settled => EnvironmentChange::Settled,
        Stage::Building => EnvironmentChange::Building,
        Stage::Workers => EnvironmentChange::Workers { since },
        Stage::All => EnvironmentChange::All { since },
        Stage::Abandoned => EnvironmentChange::Abandoned {
            failure: record.failure.clone().unwrap_or_else(unknown),
            at: since,
        },
    }
}

/// What the node says that builds and tries.
#[derive(Debug, Default)]
pub(super) struct Said {
    build: Option<BuildReport>,
    trial: Option<TrialReport>,
}

/// What is built and tried for this change, and how far that is. What the node says of another is not looked at.
pub(super) fn build(record: &Record, wanted: &ClusterSpec, said: Said) -> Option<planner::Build> {
    if record.stage != Stage::Building {
        return None;
    }
    let (packages, script) = wanted.tried_first();
    let (packages_before, script_before) = record.before.tried_first();
    let build = said.build.filter(|report| report.attempt == record.attempt.0);
    let trial = said.trial.filter(|report| report.attempt == record.attempt.0);
    let (mut planned, mut stages, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
    if packages.is_some() {
        outcomes.push(build.as_ref().map(built));
    }
    if packages.is_some() && packages != packages_before {
        planned.extend(planner::BuildStageKind::OF_PACKAGES);
        stages.extend(build.iter().flat_map(|report| &report.stages).map(stage));
    }
    if script.is_some() && script != script_before {
        planned.push(planner::BuildStageKind::Script);
        outcomes.push(trial.as_ref().map(bootstrap::outcome));
        stages.extend(trial.as_ref().map(bootstrap::stage));
    }
    Some(planner::Build {
        planned,
        stages,
        outcome: joined(outcomes),
    })
}

/// One refusal is enough; without anything to be made, all is ready.
fn joined(outcomes: Vec<Option<planner::BuildOutcome>>) -> planner::BuildOutcome {
    let mut all = planner::BuildOutcome::Ready;
    for outcome in outcomes {
        match outcome {
            Some(refused @ planner::BuildOutcome::Refused(_)) => return refused,
            Some(planner::BuildOutcome::Ready) => {}
            Some(planner::BuildOutcome::Running) | None => all = planner::BuildOutcome::Running,
        }
    }
    all
}

fn built(report: &BuildReport) -> planner::BuildOutcome {
    match &report.outcome {
        BuildOutcome::Running => planner::BuildOutcome::Running,
        BuildOutcome::Ready => planner::BuildOutcome::Ready,
        BuildOutcome::Refused { cause, message } => planner::BuildOutcome::Refused(refusal(*cause, message)),
    }
}

// === impl Said ===

impl Said {
    pub(super) fn of(report: &Report) -> Self {
        Self {
            build: report.build.clone(),
            trial: report.trial.clone(),
        }
    }
}

fn stage(report: &BuildStageReport) -> planner::BuildStage {
    planner::BuildStage {
        kind: match report.stage {
            BuildStage::Solve => planner::BuildStageKind::Solve,
            BuildStage::Install => planner::BuildStageKind::Install,
            BuildStage::Check => planner::BuildStageKind::Check,
        },
        started_at: report.started_at,
        finished_at: report.finished_at,
        detail: report.detail.clone(),
    }
}

/// The cause is ours to explain; the message is the tool's own.
fn refusal(cause: BuildRefusal, message: &str) -> Failure {
    let (what, remedy) = match cause {
        BuildRefusal::Conflict => (
            "The requirements cannot all be met together with the runtime's packages, which do not move",
            "Loosen or change the requirement it names; the runtime's versions are listed in its `requirements.lock`.",
        ),
        BuildRefusal::Missing => (
            "A package, or a wheel of it for this runtime's Python, does not exist",
            "Correct its name or version, choose a version with wheels, or allow source builds.",
        ),
        BuildRefusal::Index => (
            "The package index could not be asked",
            "See that nodes reach the index, then ask for the change again.",
        ),
        BuildRefusal::Install => (
            "A package could not be installed or built",
            "Choose a version with a wheel, or one that builds on a plain Linux machine.",
        ),
        BuildRefusal::BreaksAirflow => (
            "Airflow would not work with these packages",
            "Take out the package it names.",
        ),
        BuildRefusal::BreaksPlugins => (
            "The plugins that the DAGs bring can't be loaded",
            "Correct the plugin it names and push it again, or take it out.",
        ),
        BuildRefusal::BreaksDags => (
            "DAGs that import now would not",
            "Change the requirements, or first the DAGs so that they import with both.",
        ),
        BuildRefusal::Time => (
            "The environment was not built in time",
            "Raise `build_time_limit_s`, or find what hangs.",
        ),
        BuildRefusal::Memory => (
            "Building the environment took too much memory",
            "Choose versions with wheels, which need no building.",
        ),
        BuildRefusal::Disk => (
            "Building the environment took too much disk",
            "Ask for fewer or smaller packages.",
        ),
        BuildRefusal::Processes => (
            "Building the environment ran too many processes",
            "Choose versions with wheels, which need no building.",
        ),
        BuildRefusal::Failed => (
            "The environment could not be built",
            "Ask for the change again; look at the scheduler node's agent if it stays.",
        ),
    };
    Failure {
        code: format!("environment_{}", code(cause)),
        message: format!("{what}; nothing was changed. {}", message.trim())
            .trim_end()
            .to_owned(),
        remedy: remedy.to_owned(),
    }
}

fn code(cause: BuildRefusal) -> &'static str {
    match cause {
        BuildRefusal::Conflict => "conflict",
        BuildRefusal::Missing => "missing_package",
        BuildRefusal::Index => "index_unreachable",
        BuildRefusal::Install => "not_installable",
        BuildRefusal::BreaksAirflow => "breaks_airflow",
        BuildRefusal::BreaksPlugins => "breaks_plugins",
        BuildRefusal::BreaksDags => "breaks_dags",
        BuildRefusal::Time => "time_limit",
        BuildRefusal::Memory => "memory_limit",
        BuildRefusal::Disk => "disk_limit",
        BuildRefusal::Processes => "process_limit",
        BuildRefusal::Failed => "failed",
    }
}

fn unknown() -> Failure {
    Failure {
        code: "environment_failed".to_owned(),
        message: "The environment was given up.".to_owned(),
        remedy: "Ask for the change again.".to_owned(),
    }
}

impl Reconciler {
    pub(super) async fn move_environment(
        &self,
        lease: &Lease,
        view: &View,
        to: &EnvironmentStage,
    ) -> Result<Progress, ReconcileError> {
        let Some(record) = &view.change else {
            return Ok(Progress::Awaited);
        };
        let (stage, failure) = match to {
            EnvironmentStage::Workers => (Stage::Workers, None),
            EnvironmentStage::All => (Stage::All, None),
            EnvironmentStage::Settled => (Stage::Settled, None),
            EnvironmentStage::Abandoned(failure) => (Stage::Abandoned, Some(failure)),
        };
        let mut tx = self.fenced(lease).await?;
        let (tenant, cluster) = (view.cluster.tenant, view.cluster.id);
        match environment_changes::move_to(&mut tx, tenant, cluster, record.attempt, stage, failure).await {
            // A newer change took over: the next look sees it.
            Err(StoreError::Missing { .. }) => return Ok(Progress::Made),
            moved => moved?,
        }
        let (kind, severity, message) = news(to);
        events::append(&mut tx, &cluster_event(view, kind, severity, &message)).await?;
        commit(tx).await?;
        Ok(Progress::Made)
    }
}

fn news(to: &EnvironmentStage) -> (&'static str, EventSeverity, String) {
    match to {
        EnvironmentStage::Workers => (
            "environment_built",
            EventSeverity::Info,
            "What is new was tried on its own and works; workers change over.".to_owned(),
        ),
        EnvironmentStage::All => (
            "environment_on_workers",
            EventSeverity::Info,
            "Workers have the new environment; scheduler and web change over.".to_owned(),
        ),
        EnvironmentStage::Settled => (
            "environment_live",
            EventSeverity::Info,
            "Every node works with the new environment.".to_owned(),
        ),
        EnvironmentStage::Abandoned(failure) => (
            "environment_refused",
            EventSeverity::Error,
            failure_sentence(failure),
        ),
    }
}
