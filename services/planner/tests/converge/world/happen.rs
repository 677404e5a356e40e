//! What happens to the cluster, its nodes and what they are made with.

use updraft_model::{OperationKind, Power, WorkerQueue};
use updraft_planner::EnvironmentChange;

use super::Shared;
use super::agents::Agent;
use super::happening::{Happening, Remedy};
use super::provider::REFUSED_TYPES;

// === impl Shared ===

impl Shared {
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
            Happening::Refuse(refusal) => self.mood.borrow_mut().refusal = Some(refusal),
            Happening::Mend => self.mood.borrow_mut().refusal = None,
            Happening::Ail { part, percent } => self.state.borrow_mut().parts.ail(part, percent),
            Happening::KeepVolume(which) => {
                if let Some(machine) = pick(which) {
                    self.provider.keep_volume(&machine.id);
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

    /// People put right what will never be as they wish.
    pub(super) fn put_right(&self, remedy: Remedy) {
        let refused = |queue: &&WorkerQueue| {
            let asked = queue.instance_type.as_deref();
            asked.is_some_and(|asked| REFUSED_TYPES.contains(&asked))
        };
        let workers = {
            let state = self.state.borrow();
            state
                .records
                .heavy
                .as_ref()
                .filter(refused)
                .map(|queue| queue.max)
        };
        let Some(workers) = workers else { return };
        self.happen(&match remedy {
            Remedy::Change => Happening::Heavy { workers, machine: 1 },
            Remedy::Stop => Happening::Stop,
            Remedy::Delete => Happening::Delete,
        });
    }

    pub(super) fn ask(&self, kind: OperationKind, power: Power) {
        self.state.borrow_mut().records.ask(kind, power);
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
