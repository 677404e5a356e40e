//! The agent that is to come after this one.

use updraft_api::agent::{AgentAssignment, BuildOutcome, ScriptOutcome};
use updraft_api::rest::Severity;
use updraft_model::AgentPhase;

use super::happening::Happening;
use super::node::Node;
use crate::layout;
use crate::place::Ownership;

impl Node {
    /// Goes after what the assignment says of it, while all is well.
    pub(super) fn look_for_successor(&mut self, phase: AgentPhase) {
        let wanted = self
            .assignment
            .as_ref()
            .and_then(|assignment| assignment.agent.as_ref())
            .filter(|_| phase == AgentPhase::Running);
        let tell = self.tell.clone();
        self.replacing
            .want(wanted, &self.control, move |wanted, fetched| {
                // Nobody listens when the agent is ending.
                let _ = tell.send(Happening::SuccessorFetched(wanted, fetched));
            });
    }

    pub(super) fn successor_fetched(&mut self, told: AgentAssignment, fetched: Result<(), String>) {
        if let Some(why) = self.replacing.fetched(told, fetched) {
            self.tell_of_refusal(&why);
        }
    }

    /// Whether this agent is to end now, for the next one.
    pub(super) fn makes_way(&mut self) -> bool {
        self.replacing.is_ready() && !self.is_busy_aside() && self.replacing.make_way()
    }

    /// Control took a report.
    pub(super) fn heard(&mut self) {
        self.leave_sign();
        if let Some(release) = self.replacing.heard() {
            let message = format!(
                "The agent was replaced: {}, release {}. Services went on.",
                env!("CARGO_PKG_VERSION"),
                &release[..12]
            );
            self.event(None, "agent_replaced", Severity::Info, &message);
        }
    }

    /// For who started this machine and waits.
    fn leave_sign(&self) {
        if !self.own_machine {
            return;
        }
        let place = self.layout.place();
        if let Err(error) = place.write_soon(layout::HEARD, b"", 0o600, Ownership::Agent) {
            tracing::warn!(error = error.chain(), "That control took a report can't be noted");
        }
    }

    /// What an agent found at its start.
    pub(super) fn tell_of_predecessor(&mut self) {
        if let Some(why) = self.replacing.news() {
            self.tell_of_refusal(&why);
        }
    }

    fn tell_of_refusal(&mut self, why: &str) {
        let message = format!("Another agent was tried and this one stays; services went on. {why}");
        self.event(None, "agent_rolled_back", Severity::Error, &message);
    }

    /// A build or a script would begin anew.
    fn is_busy_aside(&self) -> bool {
        let build = self.builds.report();
        let trial = self.scripts.trial_report();
        build.is_some_and(|build| build.outcome == BuildOutcome::Running)
            || trial.is_some_and(|trial| trial.outcome == ScriptOutcome::Running)
    }
}
