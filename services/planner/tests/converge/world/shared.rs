//! What all controls share: what happens to it, what is swept and exchanged, and when it is at rest.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use chrono::{DateTime, Utc};
use updraft_model::{NodeId, NodeRole, OperationKind, Phase, Power, WorkerQueue};
use updraft_planner::{EnvironmentChange, KeyTurn};
use updraft_provider::simulated::Machine;
use updraft_provider::{ClientToken, NodeProvider as _, NodeStatus, NodeWanted, ProviderId};

use super::agents::Agent;
use super::bugs::Bug;
use super::happening::Happening;
use super::records::RowState;
use super::{CLUSTER, NEIGHBOUR, Shared, State, TICK, agents, execute, laws};

// === impl Shared ===

impl Shared {
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.state.borrow().records.now
    }

    pub(super) fn fresh_node(&self) -> NodeId {
        let number = self.nodes.get();
        self.nodes.set(number + 1);
        execute::node_id(number)
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

    /// Ends what is left of the cluster once it is deleted.
    pub(super) fn sweep(&self) {
        let doomed: Vec<ProviderId> = {
            let records = &self.state.borrow().records;
            let is_known = |machine: &Machine| {
                records
                    .live_rows()
                    .any(|row| row.id == machine.node && row.provider_id.is_some())
            };
            let early = self.bug == Some(Bug::SweepsWhatIsBeingLaunched);
            self.live()
                .into_iter()
                .filter(|machine| machine.status != NodeStatus::Ending)
                .filter(|machine| records.deleted || early && !is_known(machine))
                .map(|machine| machine.id)
                .collect()
        };
        if self.state.borrow().records.deleted {
            let mut forgotten = self.provider.forget_cluster(CLUSTER);
            let _ = forgotten.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        for id in doomed {
            if !self.state.borrow().records.deleted {
                laws::may_end(self, &id);
            }
            let mut ended = self.provider.terminate(&id);
            let _ = ended.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    pub(super) fn happen(&self, happening: &Happening) {
        let power = self.state.borrow().records.power;
        let pick = |which: usize| {
            let running = self.running();
            (!running.is_empty()).then(|| running[which % running.len()].clone())
        };
        match *happening {
            Happening::Start => self.ask(OperationKind::Start, Power::Running),
            Happening::Stop => self.ask(OperationKind::Stop, Power::Stopped),
            Happening::Delete => self.ask(OperationKind::Delete, Power::Deleted),
            Happening::OnStop(on_stop) if power != Power::Deleted => {
                self.state.borrow_mut().records.on_stop = on_stop;
                self.ask(OperationKind::Update, power);
            }
            Happening::Restart => {
                self.ask(OperationKind::Restart, power);
                self.state.borrow_mut().records.render_anew();
            }
            Happening::Scale(workers) if power != Power::Deleted => {
                self.state.borrow_mut().records.workers = workers;
                self.ask(OperationKind::Update, power);
            }
            Happening::Heavy { workers, machine } if power != Power::Deleted => {
                self.state.borrow_mut().records.heavy = heavy(workers, machine);
                self.ask(OperationKind::Update, power);
            }
            Happening::HeavyUpTo(max) if power != Power::Deleted => {
                let scaling = |queue| WorkerQueue { min: 0, max, ..queue };
                self.state.borrow_mut().records.heavy = heavy(max, 0).map(scaling);
                self.ask(OperationKind::Update, power);
            }
            Happening::Tasks(tasks) => {
                let mut state = self.state.borrow_mut();
                state.records.tasks = tasks;
                state.records.wake();
            }
            Happening::ChangeEnvironment(quality) if power != Power::Deleted => {
                let mut state = self.state.borrow_mut();
                state.records.wanted_environment = quality;
                state.records.give(EnvironmentChange::Building);
                state.agents.values_mut().for_each(Agent::begin_another_build);
                state.records.ask(OperationKind::Update, power);
            }
            Happening::RotateKeys if power != Power::Deleted => {
                self.state.borrow_mut().records.ask_for_other_keys();
                self.ask(OperationKind::RotateKeys, power);
            }
            Happening::LoseNode(which) => {
                if let Some(machine) = pick(which) {
                    self.provider.lose(&machine.id);
                }
            }
            Happening::SwitchOff(which) => {
                if let Some(machine) = pick(which) {
                    self.provider.switch_off(&machine.id);
                }
            }
            Happening::FailChecks(which) => {
                if let Some(machine) = pick(which) {
                    self.provider.impair(&machine.id);
                }
            }
            Happening::PassChecks => {
                for machine in self.running() {
                    self.provider.mend(&machine.id);
                }
            }
            Happening::SwitchOffAll => {
                for machine in self.running() {
                    self.provider.switch_off(&machine.id);
                }
            }
            Happening::HangAgent(which) => {
                if let Some(machine) = pick(which) {
                    let agents = &mut self.state.borrow_mut().agents;
                    agents.entry(machine.node).or_default().hung = true;
                }
            }
            Happening::ReclaimNotice(which) => {
                if let Some(machine) = pick(which) {
                    let agents = &mut self.state.borrow_mut().agents;
                    agents.entry(machine.node).or_default().be_reclaimed();
                }
            }
            Happening::RotateKeys
            | Happening::Scale(_)
            | Happening::OnStop(_)
            | Happening::Heavy { .. }
            | Happening::HeavyUpTo(_)
            | Happening::ChangeEnvironment(_)
            | Happening::CrashAfterSteps { .. }
            | Happening::Pause { .. }
            | Happening::ControlAway(_)
            | Happening::AgentsReconnect => {}
        }
    }

    pub(super) fn ask(&self, kind: OperationKind, power: Power) {
        self.state.borrow_mut().records.ask(kind, power);
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
        let wanted = match records.power {
            Power::Running => records.wanted_nodes().len(),
            Power::Stopped | Power::Deleted => 0,
        };
        reached && alive && records.operation.is_none() && rows == live.len() && heard && launched == wanted
    }
}

fn heavy(workers: u32, machine: u32) -> Option<WorkerQueue> {
    (workers > 0 || machine > 0).then(|| WorkerQueue {
        name: "heavy".parse().unwrap(),
        instance_type: (machine > 0).then(|| format!("type.{machine}")),
        concurrency: 2,
        min: workers,
        max: workers,
    })
}

/// What the simulated provider answers, which it does at once.
fn at_once<T>(mut answer: impl Future<Output = T> + Unpin) -> T {
    match Pin::new(&mut answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the simulated provider answers at once"),
    }
}
