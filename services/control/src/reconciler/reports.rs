//! Takes what agents report: untrusted input, bounded before anything is kept.
//!
//! A report changes what is known of its own node only. Transitions are written and wake the reconciler; all else stays
//! in memory.

use std::collections::HashSet;
use std::sync::Arc;

use thiserror::Error;
use updraft_api::agent::{
    AgentEvent, BuildOutcome, BuildReport, BuildStageReport, DagReport, ImportError, KeptReport,
    LONGEST_REQUIREMENTS, MetadataOutcome, MetadataReport, ParsedVersion, PublishedVersion,
    ReencryptionOutcome, ReencryptionReport, Report, RequirementsReport, ScriptOutcome, ScriptReport,
    SourceRevision, SourceState, TrialReport,
};
use updraft_api::rest::Severity;
use updraft_model::{ClusterId, NodeId, ServiceStatus, Step};
use updraft_store::events::{EventSeverity, NewEvent};
use updraft_store::{Store, StoreError, events, leases, node_identity, nodes};

use super::agent_words::{self, Speaker};
use super::dag_receipts::{self, DagWords};
use super::liveness::{Heard, is_same};
use super::{Liveness, steady, task_load};

pub(super) const TEXT: usize = 500;
pub(super) const WORD: usize = 60;
const STEPS: usize = 40;
const EVENTS: usize = 100;
const STAGES: usize = 3;
const SOURCES: usize = 20;
const IMPORT_ERRORS: usize = 50;
const PATH: usize = 1024;
const TRACEBACK: usize = 2_000;

/// The endpoint's way to the reconciler.
#[derive(Clone)]
pub struct Reports {
    store: Store,
    liveness: Arc<Liveness>,
    agents_first_in: Option<ClusterId>,
}

#[derive(Debug, Error)]
pub enum ReportRefused {
    /// The node is gone; its agent has nothing to do here any more.
    #[error("there is no such node any more")]
    Gone,
    #[error("the report could not be kept")]
    Store(#[from] StoreError),
}

// === impl Reports ===

impl Reports {
    #[must_use]
    pub fn new(store: Store, liveness: Arc<Liveness>) -> Self {
        Self {
            store,
            liveness,
            agents_first_in: None,
        }
    }

    /// What fails in that cluster fails for all.
    #[must_use]
    pub fn with_agents_first_in(self, agents_first_in: Option<ClusterId>) -> Self {
        Self {
            agents_first_in,
            ..self
        }
    }

    /// Takes a report of the node that proved to be `node`, whatever the report says of itself.
    ///
    /// # Errors
    /// [`ReportRefused::Gone`] when the node is no longer there.
    pub async fn accept(&self, node: NodeId, report: Report) -> Result<(), ReportRefused> {
        let report = bounded(node, report);
        let said = report.events.clone();
        match self.liveness.report(node, report.clone(), steady::now()) {
            Heard::Same => return Ok(()),
            Heard::First if self.is_kept(node, &report).await? => return Ok(()),
            Heard::First | Heard::Another => {}
        }
        let kept = self
            .keep(
                node,
                &Report {
                    events: Vec::new(),
                    ..report
                },
                &said,
            )
            .await;
        if kept.is_err() {
            // Not written: the next report is a transition again.
            self.liveness.forget(node);
        }
        kept
    }

    /// Takes in that a node lives that cannot be understood.
    pub(crate) fn hear_nothing_of(&self, node: NodeId) {
        self.liveness.learn(&[node], steady::now());
    }

    /// Whether the record says the same: after a restart of control nothing is new about most nodes.
    async fn is_kept(&self, node: NodeId, report: &Report) -> Result<bool, ReportRefused> {
        let mut connection = self.store.connection().await?;
        let kept = nodes::report(&mut connection, node).await?;
        let kept = kept.and_then(|kept| serde_json::from_value(kept).ok());
        Ok(kept.is_some_and(|kept| is_same(&kept, report)))
    }

    async fn keep(&self, node: NodeId, report: &Report, said: &[AgentEvent]) -> Result<(), ReportRefused> {
        let dags = DagWords {
            live: report.dag_version.as_deref(),
            said: &report.dags,
        };
        let kept = serde_json::to_value(report).map_err(|_| StoreError::Corrupt { what: "report" })?;
        let mut tx = self.store.begin().await?;
        let (tenant, cluster, label) = nodes::owner(&mut tx, node).await?.ok_or(ReportRefused::Gone)?;
        // The cluster before its nodes, as everywhere: whoever locks in another order deadlocks with the driver.
        leases::wake(&mut tx, cluster).await?;
        nodes::record_report(&mut tx, node, &kept).await.map_err(gone)?;
        dag_receipts::keep(&mut tx, tenant, cluster, &label, dags).await?;
        let speaker = Speaker {
            tenant,
            cluster,
            node,
            label: &label,
        };
        agent_words::keep(&mut tx, &speaker, report, self.agents_first_in).await?;
        for event in said {
            let sequence = i64::try_from(event.sequence).unwrap_or(i64::MAX);
            if node_identity::count_event(&mut tx, node, sequence).await? {
                let new = NewEvent {
                    tenant,
                    cluster: Some(cluster),
                    node: Some((node, &label)),
                    service: event.service,
                    kind: &event.kind,
                    severity: severity(event.severity),
                    message: &event.message,
                };
                events::append(&mut tx, &new).await?;
            }
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

fn gone(error: StoreError) -> ReportRefused {
    match error {
        StoreError::Missing { .. } => ReportRefused::Gone,
        other => other.into(),
    }
}

fn severity(severity: Severity) -> EventSeverity {
    match severity {
        Severity::Info => EventSeverity::Info,
        Severity::Warning => EventSeverity::Warning,
        Severity::Error => EventSeverity::Error,
    }
}

fn bounded(node: NodeId, report: Report) -> Report {
    let mut seen = HashSet::new();
    let services = report
        .services
        .into_iter()
        .filter(|service| seen.insert(service.name));
    Report {
        node,
        services: services
            .map(|s| ServiceStatus {
                detail: s.detail.map(|text| cut(&text, TEXT)),
                ..s
            })
            .collect(),
        steps: report.steps.into_iter().take(STEPS).map(bounded_step).collect(),
        events: report.events.iter().take(EVENTS).map(bounded_event).collect(),
        dag_version: report.dag_version.map(|text| cut(&text, 2 * WORD)),
        dags: bounded_dags(report.dags),
        build: report.build.map(bounded_build),
        script: report.script.map(|script| ScriptReport {
            digest: cut(&script.digest, WORD),
            outcome: bounded_outcome(script.outcome),
        }),
        trial: report.trial.map(|trial| TrialReport {
            digest: cut(&trial.digest, WORD),
            outcome: bounded_outcome(trial.outcome),
            ..trial
        }),
        reencryption: report.reencryption.map(bounded_reencryption),
        metadata: report.metadata.map(bounded_metadata),
        load: report.load.map(task_load::bounded),
        agent_version: cut(&report.agent_version, WORD),
        agent: report.agent.map(agent_words::bounded),
        ..report
    }
}

fn bounded_reencryption(report: ReencryptionReport) -> ReencryptionReport {
    let outcome = match report.outcome {
        ReencryptionOutcome::Failed { message } => ReencryptionOutcome::Failed {
            message: cut(&message, TEXT),
        },
        outcome @ (ReencryptionOutcome::Running | ReencryptionOutcome::Done) => outcome,
    };
    ReencryptionReport { outcome, ..report }
}

/// What a node says of its DAGs, cut to what the protocol allows.
fn bounded_dags(dags: DagReport) -> DagReport {
    let published = dags.published.map(|version| PublishedVersion {
        digest: cut(&version.digest, 2 * WORD),
        sources: version
            .sources
            .into_iter()
            .take(SOURCES)
            .map(bounded_revision)
            .collect(),
        ..version
    });
    let parsed = dags.parsed.map(|version| ParsedVersion {
        digest: cut(&version.digest, 2 * WORD),
        import_errors: version
            .import_errors
            .iter()
            .take(IMPORT_ERRORS)
            .map(bounded_import_error)
            .collect(),
        ..version
    });
    let states = dags.sources.into_iter().take(SOURCES).map(|state| SourceState {
        folder: cut(&state.folder, TEXT),
        trouble: state.trouble.map(|text| cut(&text, TEXT)),
    });
    let requirements = dags.requirements.map(|report| RequirementsReport {
        text: cut(&report.text, LONGEST_REQUIREMENTS),
        trouble: report.trouble.map(|text| cut(&text, TEXT)),
        ..report
    });
    DagReport {
        live_since: dags.live_since,
        published,
        parsed,
        sources: states.collect(),
        synced: dags.synced,
        requirements: requirements.filter(|report| report.file.path.len() <= PATH),
        plugins: dags.plugins.filter(|report| {
            let mut named = [&report.version].into_iter().chain(&report.digest);
            named.all(|digest| digest.len() <= 2 * WORD)
        }),
    }
}

fn bounded_revision(revision: SourceRevision) -> SourceRevision {
    SourceRevision {
        folder: cut(&revision.folder, TEXT),
        revision: cut(&revision.revision, 2 * WORD),
        author: revision.author.map(|text| cut(&text, TEXT)),
        message: revision.message.map(|text| cut(&text, TEXT)),
        pushed_at: revision.pushed_at,
    }
}

fn bounded_import_error(error: &ImportError) -> ImportError {
    ImportError {
        file: cut(&error.file, PATH),
        line: error.line,
        message: cut(&error.message, TRACEBACK),
    }
}

fn bounded_build(build: BuildReport) -> BuildReport {
    let outcome = match build.outcome {
        BuildOutcome::Refused { cause, message } => BuildOutcome::Refused {
            cause,
            message: cut(&message, TRACEBACK),
        },
        outcome @ (BuildOutcome::Running | BuildOutcome::Ready) => outcome,
    };
    let stages = build
        .stages
        .into_iter()
        .take(STAGES)
        .map(|stage| BuildStageReport {
            detail: stage.detail.map(|text| cut(&text, TEXT)),
            ..stage
        });
    BuildReport {
        digest: cut(&build.digest, WORD),
        stages: stages.collect(),
        outcome,
        kept: build.kept.map(|kept| KeptReport {
            sha256: cut(&kept.sha256, 2 * WORD),
            ..kept
        }),
        ..build
    }
}

fn bounded_outcome(outcome: ScriptOutcome) -> ScriptOutcome {
    match outcome {
        ScriptOutcome::Failed { cause, message } => ScriptOutcome::Failed {
            cause,
            message: cut(&message, TRACEBACK),
        },
        outcome @ (ScriptOutcome::Running | ScriptOutcome::Done) => outcome,
    }
}

fn bounded_metadata(report: MetadataReport) -> MetadataReport {
    let outcome = match report.outcome {
        MetadataOutcome::Refused { cause, message } => MetadataOutcome::Refused {
            cause,
            message: cut(&message, 2 * TEXT),
        },
        outcome @ (MetadataOutcome::Running | MetadataOutcome::Done) => outcome,
    };
    MetadataReport {
        digest: cut(&report.digest, WORD),
        outcome,
    }
}

fn bounded_step(step: Step) -> Step {
    Step {
        id: cut(&step.id, WORD),
        title: cut(&step.title, 2 * WORD),
        node: None,
        node_label: None,
        detail: step.detail.map(|text| cut(&text, TEXT)),
        ..step
    }
}

fn bounded_event(event: &AgentEvent) -> AgentEvent {
    let word = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_';
    let (kind, message) = (
        event.kind.chars().filter(word).take(WORD).collect(),
        cut(&event.message, TEXT),
    );
    AgentEvent {
        kind,
        message,
        ..event.clone()
    }
}

/// The first `most` characters; no NUL, which the database refuses.
pub(super) fn cut(text: &str, most: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(most).collect()
}
