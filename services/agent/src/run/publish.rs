//! The report: what the node is, as control and people see it.

use chrono::{DateTime, Utc};
use updraft_api::agent::{NodePower, Report, ScriptOutcome};
use updraft_model::{AgentPhase, ServiceName, ServiceState, ServiceStatus, Step, StepState};

use super::node::{Node, ParentState};
use crate::plan::Plan;

impl Node {
    /// Hands a new report to the reporter, if it says anything new.
    pub(super) fn publish(&mut self, plan: Option<&Plan>) {
        let report = self.report(plan);
        let text = serde_json::to_string(&report).unwrap_or_default();
        if text != self.reported {
            self.reported = text;
            self.report.send_replace(Some(report));
        }
    }

    fn report(&self, plan: Option<&Plan>) -> Report {
        Report {
            node: self.id,
            assignment_version: self.assignment.as_ref().map(|assignment| assignment.version),
            generation: self.assignment.as_ref().map(|assignment| assignment.generation),
            phase: plan.map_or(AgentPhase::Preparing, |plan| plan.phase),
            services: plan.map(|plan| self.services(plan)).unwrap_or_default(),
            steps: plan.map(|plan| self.steps(plan)).unwrap_or_default(),
            events: self.outbox.waiting(),
            dag_version: self.dag_version.clone(),
            dags: self.dag_report.clone(),
            logs: self.logs.report(),
            build: self.builds.report().cloned(),
            script: self.scripts.report().cloned(),
            trial: self.scripts.trial_report().cloned(),
            reencryption: self.reencryption.report().cloned(),
            metadata: self.metadata.report().cloned(),
            load: self.load.clone(),
            reclaimed_at: self.reclaimed_at,
            cpu_percent: self.usage.cpu_percent,
            memory_bytes: self.usage.memory_bytes,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            agent: Some(self.replacing.standing()),
        }
    }

    fn services(&self, plan: &Plan) -> Vec<ServiceStatus> {
        plan.states
            .iter()
            .map(|(name, state)| match self.slots.get(name) {
                Some(slot) => slot.status(*state),
                None => ServiceStatus {
                    name: *name,
                    state: *state,
                    pid: None,
                    started_at: None,
                    restarts: 0,
                    detail: None,
                },
            })
            .collect()
    }

    fn steps(&self, plan: &Plan) -> Vec<Step> {
        let mut steps = match self.power() {
            NodePower::Run => self.preparation(),
            NodePower::Stop => Vec::new(),
        };
        let in_order = self.assignment.iter().flat_map(|assignment| &assignment.services);
        for service in in_order.filter(|service| plan.states.contains_key(&service.name)) {
            steps.push(match self.power() {
                NodePower::Run => self.start_step(service.name, plan.states[&service.name]),
                NodePower::Stop => self.stop_step(service.name, plan.states[&service.name]),
            });
        }
        steps
    }

    fn preparation(&self) -> Vec<Step> {
        let since = &self.since;
        let mut steps = vec![self.step("prepare", "Prepare the node", since.assigned, since.prepared)];
        steps.extend(self.script_step());
        steps.extend(self.metadata_step());
        if !matches!(self.parent, ParentState::Absent) {
            let mut step = self.step(
                "airflow",
                "Load Airflow",
                since.parent_started,
                since.parent_ready,
            );
            if matches!(self.parent, ParentState::Failed) {
                step.state = StepState::Failed;
                step.detail = Some("services are started one by one".to_owned());
            }
            steps.push(step);
        }
        steps.push(self.step("dags", "Fetch DAGs", since.assigned, since.dags_live));
        steps
    }

    fn script_step(&self) -> Option<Step> {
        let report = self.scripts.report()?;
        let since = &self.since;
        let mut step = self.step(
            "bootstrap",
            "Run the bootstrap script",
            since.script,
            since.script_done,
        );
        if let ScriptOutcome::Failed { message, .. } = &report.outcome {
            step.state = StepState::Failed;
            step.detail = Some(message.chars().take(500).collect());
        }
        Some(step)
    }

    pub(super) fn step(
        &self,
        id: &str,
        title: &str,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
    ) -> Step {
        let state = match (from, to) {
            (_, Some(_)) => StepState::Done,
            (Some(_), None) => StepState::Running,
            (None, None) => StepState::Pending,
        };
        Step {
            id: id.to_owned(),
            title: title.to_owned(),
            node: Some(self.id),
            node_label: None,
            state,
            started_at: from.or(to),
            finished_at: to,
            detail: None,
        }
    }

    fn start_step(&self, name: ServiceName, state: ServiceState) -> Step {
        let slot = self.slots.get(&name);
        let started = slot
            .filter(|slot| !slot.is_idle())
            .map(|slot| slot.record.started_at);
        let healthy = slot.and_then(|slot| slot.healthy_at);
        let mut step = self.step(name.as_str(), &format!("Start {name}"), started, healthy);
        step.state = match state {
            ServiceState::Waiting | ServiceState::Stopped => StepState::Pending,
            ServiceState::Starting | ServiceState::Stopping => StepState::Running,
            ServiceState::Healthy => StepState::Done,
            ServiceState::Unhealthy | ServiceState::BackingOff => StepState::Failed,
        };
        if state != ServiceState::Healthy {
            step.finished_at = None;
            step.detail = slot.and_then(|slot| slot.detail.clone());
        }
        step
    }

    fn stop_step(&self, name: ServiceName, state: ServiceState) -> Step {
        let mut step = self.step(
            &format!("stop-{name}"),
            &format!("Stop {name}"),
            self.since.stopping,
            None,
        );
        step.state = match state {
            ServiceState::Stopped => StepState::Done,
            ServiceState::Stopping => StepState::Running,
            _ => StepState::Pending,
        };
        step
    }
}
