//! The tenant's own metadata database among what must be there before services start.

use chrono::Utc;
use updraft_api::agent::{MetadataOutcome, MetadataReport, NodePower};
use updraft_api::rest::Severity;
use updraft_model::{Step, StepState};

use super::happening::Happening;
use super::node::Node;
use crate::metadata::Ground;

/// Of an event's message.
const LONGEST: usize = 500;

impl Node {
    pub(super) fn ensure_metadata(&mut self) {
        let Some(assignment) = &self.assignment else {
            return;
        };
        let runs = self.power() == NodePower::Run;
        let ground = || Ground {
            layout: self.layout.clone(),
            environment_dir: assignment.environment_dir.clone(),
            delivery: assignment.dags.clone(),
            from_within: self.own_machine,
        };
        let tell = self.tell.clone();
        let wanted = assignment.metadata.as_ref().filter(|_| runs);
        let is_another = self.metadata.want(wanted, ground, move |report| {
            let _ = tell.send(Happening::Metadata(report));
        });
        if is_another {
            self.since.metadata = wanted.map(|_| Utc::now());
            self.since.metadata_done = None;
        }
        self.metadata_is_good();
    }

    pub(super) fn metadata_looked_at(&mut self, report: MetadataReport) {
        let refusal = match &report.outcome {
            MetadataOutcome::Refused { message, .. } => Some(message.clone()),
            MetadataOutcome::Running | MetadataOutcome::Done => None,
        };
        if self.metadata.note(report)
            && let Some(why) = refusal
        {
            let message = format!("The cluster's own metadata database is not used. {why}");
            let message: String = message.chars().take(LONGEST).collect();
            self.event(None, "metadata_database_refused", Severity::Error, &message);
        }
        self.metadata_is_good();
    }

    fn metadata_is_good(&mut self) {
        self.readiness.metadata = self.metadata.is_good();
        if self.readiness.metadata && self.since.metadata.is_some() {
            self.since.metadata_done.get_or_insert_with(Utc::now);
        }
    }

    pub(super) fn metadata_step(&self) -> Option<Step> {
        let report = self.metadata.report()?;
        let (from, to) = (self.since.metadata, self.since.metadata_done);
        let mut step = self.step("metadata", "Look at your metadata database", from, to);
        if let MetadataOutcome::Refused { message, .. } = &report.outcome {
            step.state = StepState::Failed;
            step.detail = Some(message.chars().take(LONGEST).collect());
        }
        Some(step)
    }
}
