//! When each node was last heard of. In memory only: nobody is declared lost because control was down, since nothing
//! counts that happened before this process began to listen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use updraft_api::agent::Report;
use updraft_model::NodeId;

/// The last word of every node.
pub struct Liveness {
    listening_since: DateTime<Utc>,
    nodes: Mutex<HashMap<NodeId, Heard>>,
}

struct Heard {
    at: DateTime<Utc>,
    report: Arc<Report>,
}

// === impl Liveness ===

impl Liveness {
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            listening_since: now,
            nodes: Mutex::default(),
        }
    }

    /// Takes in a report; true when something but its measurements differs from the last.
    pub fn report(&self, node: NodeId, report: Report, now: DateTime<Utc>) -> bool {
        let report = Arc::new(report);
        let before = self.nodes().insert(
            node,
            Heard {
                at: now,
                report: Arc::clone(&report),
            },
        );
        before.is_none_or(|heard| !is_same(&heard.report, &report))
    }

    /// What the node last said, to this process.
    #[must_use]
    pub fn latest(&self, node: NodeId) -> Option<(DateTime<Utc>, Arc<Report>)> {
        self.nodes()
            .get(&node)
            .map(|heard| (heard.at, Arc::clone(&heard.report)))
    }

    /// For how long nothing was heard of a node that runs since `running_since`, while this process listened.
    #[must_use]
    pub fn silence(
        &self,
        node: NodeId,
        running_since: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> TimeDelta {
        let heard = self.nodes().get(&node).map(|heard| heard.at);
        let since = [Some(self.listening_since), running_since, heard]
            .into_iter()
            .flatten()
            .max();
        since.map_or(TimeDelta::zero(), |since| (now - since).max(TimeDelta::zero()))
    }

    /// Drops what a node said that is gone, or was started anew.
    pub fn forget(&self, node: NodeId) {
        self.nodes().remove(&node);
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<NodeId, Heard>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Measurements come with each report and are no transition.
fn is_same(one: &Report, other: &Report) -> bool {
    one.phase == other.phase
        && one.assignment_version == other.assignment_version
        && one.generation == other.generation
        && one.services == other.services
        && one.steps == other.steps
        && one.dag_version == other.dag_version
        && one.dags == other.dags
        && one.build == other.build
        && one.script == other.script
        && one.trial == other.trial
        && other.events.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use updraft_api::agent::DagReport;
    use updraft_model::AgentPhase;
    use uuid::Uuid;

    fn report(phase: AgentPhase, cpu: f32) -> Report {
        Report {
            node: NodeId(Uuid::nil()),
            assignment_version: Some(1),
            generation: None,
            phase,
            services: Vec::new(),
            steps: Vec::new(),
            events: Vec::new(),
            dag_version: None,
            dags: DagReport::default(),
            logs: updraft_api::agent::LogReport::default(),
            build: None,
            script: None,
            trial: None,
            cpu_percent: Some(cpu),
            memory_bytes: None,
            agent_version: String::new(),
        }
    }

    #[test]
    fn only_what_changes_is_a_transition() {
        let now = Utc::now();
        let (liveness, node) = (Liveness::new(now), NodeId(Uuid::nil()));
        assert!(liveness.report(node, report(AgentPhase::Starting, 1.0), now));
        assert!(!liveness.report(node, report(AgentPhase::Starting, 2.0), now));
        assert!(liveness.report(node, report(AgentPhase::Running, 2.0), now));
    }

    #[test]
    fn silence_counts_from_when_control_began_to_listen() {
        let now = Utc::now();
        let (liveness, node) = (Liveness::new(now), NodeId(Uuid::nil()));
        let long_ago = now - TimeDelta::hours(9);
        let later = now + TimeDelta::seconds(7);
        assert_eq!(
            liveness.silence(node, Some(long_ago), later),
            TimeDelta::seconds(7)
        );
        liveness.report(
            node,
            report(AgentPhase::Running, 0.0),
            now + TimeDelta::seconds(5),
        );
        assert_eq!(
            liveness.silence(node, Some(long_ago), later),
            TimeDelta::seconds(2)
        );
    }
}
