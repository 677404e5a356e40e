//! When each node was last heard of. In memory only: nobody is declared lost because control was down, since nothing
//! counts that happened before this process began to listen, or while it stood still.
//!
//! Times are those of a clock that nobody sets (`steady`); times of records come as how long ago they were.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use updraft_api::agent::Report;
use updraft_model::{NodeAccount, NodeId};
use updraft_planner::Hearing;
use updraft_provider::ListedNode;

use super::steady;

/// Who does not attend for so long stood still, and heard nobody meanwhile.
const STOOD_STILL: TimeDelta = TimeDelta::seconds(15);
/// What others are told of: agents report each 5 s.
const JUST_NOW: TimeDelta = TimeDelta::seconds(10);
const LONG_AGO: TimeDelta = TimeDelta::hours(1);

/// The last word of every node.
pub struct Liveness {
    ears: Mutex<Ears>,
}

struct Ears {
    listening_since: DateTime<Utc>,
    attended_at: DateTime<Utc>,
    nodes: HashMap<NodeId, Word>,
    /// When other processes last heard of nodes.
    elsewhere: HashMap<NodeId, DateTime<Utc>>,
    /// Of accounts of which not all is heard well.
    hard: HashMap<NodeAccount, Hearing>,
}

struct Word {
    at: DateTime<Utc>,
    report: Arc<Report>,
}

/// A report beside the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// This process had not heard the node yet, or had forgotten it.
    First,
    /// Nothing but its measurements differs.
    Same,
    Another,
}

// === impl Liveness ===

impl Liveness {
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            ears: Mutex::new(Ears {
                listening_since: now,
                attended_at: now,
                nodes: HashMap::new(),
                elsewhere: HashMap::new(),
                hard: HashMap::new(),
            }),
        }
    }

    /// Says that this process runs. One that stood still begins to listen anew.
    pub fn attend(&self, now: DateTime<Utc>) {
        let mut ears = self.ears();
        if now - ears.attended_at > STOOD_STILL {
            ears.listening_since = now;
        }
        ears.attended_at = now;
        // Of who is gone; what anybody else said so long ago is in the records.
        ears.nodes.retain(|_, heard| heard.at + LONG_AGO > now);
        ears.elsewhere.retain(|_, heard| *heard + LONG_AGO > now);
    }

    /// Takes in a report.
    pub fn report(&self, node: NodeId, report: Report, now: DateTime<Utc>) -> Heard {
        let report = Arc::new(report);
        let before = self.ears().nodes.insert(
            node,
            Word {
                at: now,
                report: Arc::clone(&report),
            },
        );
        match before {
            None => Heard::First,
            Some(word) if is_same(&word.report, &report) => Heard::Same,
            Some(_) => Heard::Another,
        }
    }

    /// What the node last said, to this process.
    #[must_use]
    pub fn latest(&self, node: NodeId) -> Option<(DateTime<Utc>, Arc<Report>)> {
        self.ears()
            .nodes
            .get(&node)
            .map(|heard| (heard.at, Arc::clone(&heard.report)))
    }

    /// The same, unless the record is newer, which is so long old: then another process heard it since. Without a
    /// record it said nothing since it was started.
    #[must_use]
    pub fn latest_since(&self, node: NodeId, recorded: Option<TimeDelta>) -> Option<Arc<Report>> {
        let (at, report) = self.latest(node)?;
        (steady::now() - at <= recorded?).then_some(report)
    }

    /// For how long nothing was heard of a node while this process listened; the records have the last sign of it, which is so
    /// long ago.
    #[must_use]
    pub fn silence(&self, node: NodeId, last_sign: Option<TimeDelta>) -> TimeDelta {
        self.silence_at(node, last_sign, steady::now())
    }

    /// Nodes heard just now.
    #[must_use]
    pub fn heard(&self, now: DateTime<Utc>) -> Vec<NodeId> {
        let ears = self.ears();
        let lately = ears.nodes.iter().filter(|(_, heard)| heard.at + JUST_NOW > now);
        lately.map(|(node, _)| *node).collect()
    }

    /// Takes in that another process heard these nodes then.
    pub fn learn(&self, nodes: &[NodeId], at: DateTime<Utc>) {
        let mut ears = self.ears();
        for node in nodes {
            let known = ears.elsewhere.entry(*node).or_insert(at);
            *known = (*known).max(at);
        }
    }

    /// Drops what a node said that is gone, or was started anew.
    pub fn forget(&self, node: NodeId) {
        self.ears().nodes.remove(&node);
    }

    /// Those of `nodes` of whom nothing was heard for at least so long.
    #[must_use]
    pub fn silent<'a>(
        &self,
        nodes: impl Iterator<Item = &'a ListedNode>,
        at_least: TimeDelta,
    ) -> Vec<&'a ListedNode> {
        let (ears, now) = (self.ears(), steady::now());
        nodes
            .filter(|listed| ears.silence(listed.node, now) >= at_least)
            .collect()
    }

    /// How well the account's nodes are heard.
    #[must_use]
    pub fn hearing(&self, account: NodeAccount) -> Hearing {
        self.ears().hard.get(&account).copied().unwrap_or_default()
    }

    /// Takes in how well they are heard now.
    pub fn hear(&self, account: NodeAccount, hearing: Hearing) {
        let mut ears = self.ears();
        let before = match hearing {
            Hearing::Well => ears.hard.remove(&account),
            Hearing::Poorly | Hearing::Hardly => ears.hard.insert(account, hearing),
        };
        drop(ears);
        if before.unwrap_or_default() != hearing {
            tracing::warn!(
                ?account,
                ?hearing,
                "how many of the account's nodes are heard has changed; where few are, none is replaced for its silence"
            );
        }
    }

    fn silence_at(&self, node: NodeId, last_sign: Option<TimeDelta>, now: DateTime<Utc>) -> TimeDelta {
        let silence = self.ears().silence(node, now);
        last_sign
            .map_or(silence, |last_sign| silence.min(last_sign))
            .max(TimeDelta::zero())
    }

    fn ears(&self) -> MutexGuard<'_, Ears> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ears ===

impl Ears {
    fn silence(&self, node: NodeId, now: DateTime<Utc>) -> TimeDelta {
        if now - self.attended_at > STOOD_STILL {
            return TimeDelta::zero();
        }
        let heard = [
            Some(self.listening_since),
            self.nodes.get(&node).map(|heard| heard.at),
            self.elsewhere.get(&node).copied(),
        ];
        let since = heard.into_iter().flatten().max();
        since.map_or(TimeDelta::zero(), |since| now - since)
    }
}

/// Measurements come with each report and are no transition.
pub(super) fn is_same(one: &Report, other: &Report) -> bool {
    let Report {
        node: _,
        assignment_version,
        generation,
        phase,
        services,
        steps,
        events: _,
        dag_version,
        dags,
        logs: _,
        build,
        script,
        metadata,
        reencryption,
        trial,
        load,
        reclaimed_at,
        cpu_percent: _,
        memory_bytes: _,
        agent_version: _,
        agent,
    } = one;
    *phase == other.phase
        && *assignment_version == other.assignment_version
        && *generation == other.generation
        && *services == other.services
        && *steps == other.steps
        && *dag_version == other.dag_version
        && *dags == other.dags
        && *build == other.build
        && *script == other.script
        && *metadata == other.metadata
        && *reencryption == other.reencryption
        && *trial == other.trial
        && *load == other.load
        && *reclaimed_at == other.reclaimed_at
        && *agent == other.agent
        && other.events.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use updraft_model::AgentPhase;
    use uuid::Uuid;

    fn report(phase: AgentPhase, cpu: f32) -> Report {
        Report {
            assignment_version: Some(1),
            cpu_percent: Some(cpu),
            ..Report::of(NodeId(Uuid::nil()), phase)
        }
    }

    #[test]
    fn only_what_changes_is_a_transition() {
        let now = Utc::now();
        let (liveness, node) = (Liveness::new(now), NodeId(Uuid::nil()));
        let hear = |phase, cpu| liveness.report(node, report(phase, cpu), now);
        assert_eq!(hear(AgentPhase::Starting, 1.0), Heard::First);
        assert_eq!(hear(AgentPhase::Starting, 2.0), Heard::Same);
        assert_eq!(hear(AgentPhase::Running, 2.0), Heard::Another);
    }

    #[test]
    fn silence_counts_from_when_control_began_to_listen() {
        let now = steady::now();
        let (liveness, node) = (Liveness::new(now), NodeId(Uuid::nil()));
        let long = Some(TimeDelta::hours(9));
        let later = now + TimeDelta::seconds(7);
        assert_eq!(liveness.silence_at(node, long, later), TimeDelta::seconds(7));
        liveness.report(
            node,
            report(AgentPhase::Running, 0.0),
            now + TimeDelta::seconds(5),
        );
        assert_eq!(liveness.silence_at(node, long, later), TimeDelta::seconds(2));
    }

    #[test]
    fn silence_counts_from_when_the_node_was_started() {
        let now = steady::now();
        let (liveness, node) = (Liveness::new(now), NodeId(Uuid::nil()));
        let silence = liveness.silence_at(node, Some(TimeDelta::seconds(3)), now + TimeDelta::seconds(9));
        assert_eq!(silence, TimeDelta::seconds(3));
    }

    #[test]
    fn while_control_stood_still_nobody_was_silent() {
        let now = steady::now();
        let (liveness, node) = (Liveness::new(now), NodeId(Uuid::nil()));
        liveness.report(node, report(AgentPhase::Running, 0.0), now);
        let awake = now + TimeDelta::hours(1);
        assert_eq!(liveness.silence_at(node, None, awake), TimeDelta::zero());
        liveness.attend(awake);
        let later = awake + TimeDelta::seconds(6);
        assert_eq!(liveness.silence_at(node, None, later), TimeDelta::seconds(6));
    }

    #[test]
    fn a_node_that_another_control_hears_is_not_silent() {
        let now = steady::now();
        let (liveness, node) = (Liveness::new(now), NodeId(Uuid::nil()));
        liveness.learn(&[node], now + TimeDelta::seconds(8));
        let later = now + TimeDelta::seconds(10);
        assert_eq!(liveness.silence_at(node, None, later), TimeDelta::seconds(2));
    }

    #[test]
    fn what_another_control_recorded_since_counts_more_than_what_this_one_remembers() {
        let now = steady::now();
        let (liveness, node) = (Liveness::new(now), NodeId(Uuid::nil()));
        liveness.report(
            node,
            report(AgentPhase::Running, 0.0),
            now - TimeDelta::seconds(20),
        );
        assert!(
            liveness
                .latest_since(node, Some(TimeDelta::seconds(90)))
                .is_some()
        );
        assert!(liveness.latest_since(node, Some(TimeDelta::seconds(5))).is_none());
        assert!(
            liveness.latest_since(node, None).is_none(),
            "it was started since"
        );
    }
}
