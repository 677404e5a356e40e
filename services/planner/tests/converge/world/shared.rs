//! What all controls share: what happens to it, what is swept and exchanged, and when it is at rest.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use chrono::{DateTime, Utc};
use updraft_model::{NodeId, NodeRole, Phase, Power};
use updraft_planner::{EnvironmentChange, KeyTurn};
use updraft_provider::simulated::Machine;
use updraft_provider::{ClientToken, NodeProvider as _, NodeStatus, NodeWanted};

use super::agents::Agent;
use super::bugs::Bug;
use super::provider::Api;
use super::row::{Row, RowState};
use super::{CLUSTER, NEIGHBOUR, Shared, State, TICK, agents, execute};

// === impl Shared ===

impl Shared {
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.state.borrow().records.now
    }

    /// The provider, as controls meet it.
    pub(super) fn api(&self) -> Api<'_> {
        Api {
            provider: &self.provider,
            mood: &self.mood,
        }
    }

    pub(super) fn fresh_node(&self) -> NodeId {
        let number = self.nodes.get();
        self.nodes.set(number + 1);
        execute::node_id(number)
    }

    /// Whether the provider ever made it.
    pub(super) fn was_made(&self, node: NodeId) -> bool {
        self.provider
            .machines()
            .iter()
            .any(|machine| machine.node == node)
    }

    /// The cluster's nodes that exist, running or not.
    pub(super) fn live(&self) -> Vec<Machine> {
        let mut live = self.provider.live();
        live.retain(|machine| machine.cluster == CLUSTER);
        live
    }

    pub(super) fn running(&self) -> Vec<Machine> {
        let mut running = self.live();
        running.retain(|machine| machine.status.is_up());
        running
    }

    pub(super) fn settle_neighbour(&self) {
        for role in NodeRole::ALL.iter().copied() {
            let node = self.fresh_node();
            let wanted = NodeWanted::plain(NEIGHBOUR, node, role, 1);
            let request = at_once(self.provider.prepare(&wanted)).unwrap();
            let boot = execute::boot();
            let token = ClientToken::of(node);
            let _ = at_once(self.provider.launch(&request, &token, &boot));
        }
    }

    pub(super) fn pass_time(&self) {
        self.state.borrow_mut().records.now += TICK;
        self.provider.tick();
        let agents = &mut self.state.borrow_mut().agents;
        for machine in self.live() {
            if agents.get_mut(&machine.node).is_some_and(Agent::ends_now) {
                self.provider.lose(&machine.id);
            }
        }
    }

    /// A control that stood still listens again.
    pub(super) fn wake_up(&self, control: usize) {
        if self.bug != Some(Bug::BlamesNodesForItsOwnSleep) {
            let mut state = self.state.borrow_mut();
            let now = state.records.now;
            state.ears[control].listen_anew(now);
        }
    }

    pub(super) fn report(&self, awake: &[usize]) {
        agents::report(&mut self.state.borrow_mut(), &self.live(), awake);
    }

    /// Each control tells the others whom it heard.
    pub(super) fn exchange(&self, awake: &[usize]) {
        let State { ears, records, .. } = &mut *self.state.borrow_mut();
        for one in awake {
            let told = ears[*one].tell(records);
            for other in awake.iter().filter(|other| *other != one) {
                ears[*other].learn(&told);
            }
        }
    }

    /// Whether an operation is under way for which only nodes have to come, or the database to follow.
    pub(super) fn waits_for_nodes(&self) -> bool {
        let records = &self.state.borrow().records;
        let goes = |row: &Row| {
            row.stop_asked_at.is_some() || matches!(row.state, RowState::Kept | RowState::Terminating)
        };
        // Nor is a launch given up that nobody can look for.
        let none_goes = records.live_rows().count() <= records.wanted_nodes().len();
        records.power == Power::Running
            && records.operation.is_some()
            && records.keys != KeyTurn::Draining
            && none_goes
            && !records.live_rows().any(goes)
    }

    pub(super) fn is_settled(&self) -> bool {
        let state = self.state.borrow();
        let records = &state.records;
        let reached = match records.power {
            Power::Running => {
                let settled = matches!(
                    records.environment,
                    EnvironmentChange::Settled | EnvironmentChange::Abandoned { .. }
                );
                let keys = matches!(records.keys, KeyTurn::Settled | KeyTurn::Both { .. });
                settled && keys && records.phase == Phase::Running
            }
            Power::Stopped => {
                let keys = matches!(records.keys, KeyTurn::Settled | KeyTurn::Reencrypting { .. });
                keys && records.phase == Phase::Stopped
            }
            Power::Deleted => return records.deleted,
        };
        let ends = |agent: &Agent| agent.hung || agent.reclaimed.is_some();
        let ends = |node: &NodeId| state.agents.get(node).is_some_and(ends);
        let live = self.live();
        if records.power == Power::Stopped {
            let kept = records
                .live_rows()
                .filter(|row| row.state == RowState::Kept)
                .count();
            let off = live.iter().all(|machine| machine.status == NodeStatus::Stopped);
            let as_many = kept == live.len() && kept == records.live_rows().count();
            return reached && records.operation.is_none() && off && as_many;
        }
        let alive = live
            .iter()
            .all(|machine| machine.status == NodeStatus::Running && !ends(&machine.node));
        let rows = records.live_rows().count();
        let heard = records
            .live_rows()
            .all(|row| row.report.as_ref().and_then(|r| r.assignment_version) == Some(row.version));
        let launched = records
            .live_rows()
            .filter(|row| row.state == RowState::Launched)
            .count();
        // Those of another type leave one after another.
        let as_asked = records.live_rows().all(|row| records.is_of_type_asked(row));
        let wanted = match records.power {
            Power::Running => records.wanted_nodes().len(),
            Power::Stopped | Power::Deleted => 0,
        };
        reached
            && alive
            && as_asked
            && records.operation.is_none()
            && rows == live.len()
            && heard
            && launched == wanted
    }
}

/// What the simulated provider answers, which it does at once.
pub(super) fn at_once<T>(answer: impl Future<Output = T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the simulated provider answers at once"),
    }
}
