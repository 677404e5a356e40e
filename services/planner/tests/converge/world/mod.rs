//! One cluster in a world of its own: records, a provider that errs, agents, and one or two controls that drive it in
//! single steps, so that each may die, or stand still, between any two.

mod agents;
mod bugs;
mod dice;
mod driver;
mod ears;
mod execute;
mod happening;
mod laws;
mod records;
mod shared;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use updraft_model::{ClusterId, NodeId, OnStop, Power};
use updraft_planner::Outcome;
use updraft_provider::simulated::{Faults, Machine, SimulatedProvider};
use updraft_provider::{NodeStatus, ProviderId};

use agents::Agent;
pub(crate) use bugs::Bug;
use dice::Dice;
use driver::Driver;
use ears::Ears;
pub(crate) use happening::{Happening, Quality, Schedule, Setting};
use records::Records;

const TICK: TimeDelta = TimeDelta::seconds(5);
const CLUSTER: ClusterId = ClusterId(1);
/// Of another tenant: nothing ever touches its nodes.
const NEIGHBOUR: ClusterId = ClusterId(2);
/// Ticks in which everything that was asked for is reached once nothing more goes wrong.
const PATIENCE: u32 = 2000;
/// Steps in one tick after which drivers go round in circles.
const BUSY: u32 = 5000;
/// Ticks between two comparisons of the provider's whole list with the records.
const SWEEP: u32 = 12;
/// Ticks between two exchanges of what controls heard.
const EXCHANGE: u32 = 2;

pub(crate) struct World {
    shared: Rc<Shared>,
    controls: Vec<Control>,
    ticks: u32,
}

/// What all controls share, and what the laws look at.
pub(crate) struct Shared {
    provider: SimulatedProvider,
    state: RefCell<State>,
    bug: Option<Bug>,
    /// By how many seconds each control's own clock is ahead.
    clocks: Vec<i64>,
    nodes: Cell<u128>,
}

pub(crate) struct State {
    records: Records,
    agents: HashMap<NodeId, Agent>,
    /// Of each control.
    ears: Vec<Ears>,
    dice: Dice,
    /// Ticks that an agent takes to report after its machine's start.
    boot: u32,
    /// Machines that a driver launched whose lease was over.
    late: HashSet<ProviderId>,
    /// Whether one made a network when its lease was over, or saw none where one was not listed yet: the sweep is there for that.
    late_network: bool,
}

/// One process of control.
#[derive(Default)]
struct Control {
    look: Option<Pin<Box<dyn Future<Output = ()>>>>,
    dies_after: Option<u32>,
    /// Steps, and then ticks.
    stands_after: Option<(u32, u32)>,
    paused_for: u32,
    /// Steps it ever took.
    steps: u32,
}

// === impl World ===

impl World {
    pub(crate) fn new(setting: &Setting) -> Self {
        Self::with_bug(setting, None)
    }

    pub(crate) fn with_bug(setting: &Setting, bug: Option<Bug>) -> Self {
        let lag = Duration::from_secs(5 * (setting.faults.listed_after + 1));
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let provider = SimulatedProvider::new(setting.seed, Faults::default(), lag).with_networks();
        let controls = setting.clocks.len();
        let shared = Shared {
            provider,
            state: RefCell::new(State {
                records: Records::new(now),
                agents: HashMap::new(),
                ears: (0..controls).map(|_| Ears::new(now)).collect(),
                dice: Dice::new(setting.seed),
                boot: setting.boot,
                late: HashSet::new(),
                late_network: false,
            }),
            bug,
            clocks: setting.clocks.clone(),
            nodes: Cell::new(1),
        };
        shared.settle_neighbour();
        shared.provider.set_faults(setting.faults);
        Self {
            shared: Rc::new(shared),
            controls: (0..controls).map(|_| Control::default()).collect(),
            ticks: 0,
        }
    }

    pub(crate) fn happen(&mut self, happening: &Happening) {
        match *happening {
            Happening::CrashAfterSteps { control, steps } => {
                let control = control % self.controls.len();
                self.controls[control].dies_after = Some(steps);
            }
            Happening::Pause {
                control,
                steps,
                ticks,
            } => {
                let control = control % self.controls.len();
                self.controls[control].stands_after = Some((steps, ticks));
            }
            Happening::ControlAway(ticks) => {
                for control in 0..self.controls.len() {
                    self.end(control);
                }
                for _ in 0..ticks {
                    self.shared.pass_time();
                }
                for control in 0..self.controls.len() {
                    self.begin(control);
                }
            }
            Happening::AgentsReconnect => {
                let awake = self.awake();
                let mut state = self.shared.state.borrow_mut();
                let State { agents, dice, .. } = &mut *state;
                let mut nodes: Vec<_> = agents.keys().copied().collect();
                nodes.sort_unstable();
                for node in nodes.iter().filter(|_| !awake.is_empty()) {
                    let control = awake[dice.index(awake.len())];
                    agents.entry(*node).or_default().turn_to(control);
                }
            }
            _ => self.shared.happen(happening),
        }
    }

    /// The provider answers well from now on, and nobody dies; who stands still goes on when its time has come.
    pub(crate) fn calm_down(&mut self) {
        self.shared.provider.set_faults(Faults::default());
        for control in &mut self.controls {
            (control.dies_after, control.stands_after) = (None, None);
        }
    }

    /// Time passes, agents report, and drivers look until they have nothing to do.
    pub(crate) fn tick(&mut self) {
        self.ticks += 1;
        self.shared.pass_time();
        // Who wakes up now looks before it hears anybody.
        let listening = self.awake();
        for control in 0..self.controls.len() {
            match self.controls[control].paused_for {
                0 => {}
                left => {
                    self.controls[control].paused_for = left - 1;
                    if left == 1 {
                        self.shared.wake_up(control);
                    }
                }
            }
        }
        let awake = self.awake();
        self.shared.report(&listening);
        if self.ticks.is_multiple_of(EXCHANGE) {
            self.shared.exchange(&listening);
        }
        if self.ticks.is_multiple_of(SWEEP) && !awake.is_empty() {
            self.shared.sweep();
        }
        self.work(&awake);
    }

    pub(crate) fn run_until_settled(&mut self) {
        for _ in 0..PATIENCE {
            if self.shared.is_settled() {
                return;
            }
            self.tick();
        }
        let state = self.shared.state.borrow();
        panic!(
            "does not converge: power {:?}, phase {:?}, environment {:?}, deleted {}, nodes {:?}",
            state.records.power,
            state.records.phase,
            state.records.environment,
            state.records.deleted,
            self.shared.live()
        );
    }

    /// Whoever stood still goes on with what it was about to do.
    pub(crate) fn let_late_calls_arrive(&mut self) {
        while self.controls.iter().any(|control| control.paused_for > 0) {
            self.tick();
        }
        for _ in 0..2 * SWEEP {
            self.tick();
        }
    }

    /// What is reached stays so, whichever control looks.
    pub(crate) fn assert_it_stays(&mut self) {
        for _ in 0..2 * SWEEP {
            self.tick();
            assert!(
                self.shared.is_settled(),
                "what was reached does not stay: {:?}",
                self.shared.state.borrow().records.phase
            );
        }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.shared.state.borrow().records.outcome.clone()
    }

    pub(crate) fn power(&self) -> Power {
        self.shared.state.borrow().records.power
    }

    /// Every node the cluster ever had.
    pub(crate) fn machines(&self) -> Vec<Machine> {
        let mut machines = self.shared.provider.machines();
        machines.retain(|machine| machine.cluster == CLUSTER);
        machines
    }

    /// Steps that a control took since its beginning.
    pub(crate) fn steps(&self, control: usize) -> u32 {
        self.controls[control].steps
    }

    /// What there is at the provider is what was asked for, no more and no less.
    pub(crate) fn assert_as_asked(&self) {
        let records = &self.shared.state.borrow().records;
        let row_of = |machine: &Machine| records.rows.iter().find(|row| row.id == machine.node).unwrap();
        if records.power == Power::Stopped && records.on_stop == OnStop::Keep {
            let is_kept = |machine: &Machine| machine.status == NodeStatus::Stopped;
            assert!(
                self.shared.live().iter().all(is_kept),
                "a stopped cluster's machine runs"
            );
            return;
        }
        let mut live: Vec<_> = self
            .shared
            .live()
            .iter()
            .map(|machine| (machine.role, row_of(machine).queue.clone()))
            .collect();
        let mut expected = Vec::new();
        if records.power == Power::Running {
            expected = records.wanted_nodes();
        }
        for row in self.shared.live().iter().map(row_of) {
            let queues = records.queues();
            let queue = queues
                .iter()
                .find(|queue| Some(&queue.name) == row.queue.as_ref());
            let asked = queue.and_then(|queue| queue.instance_type.clone());
            assert_eq!(
                row.instance_type, asked,
                "a machine of another type than is asked for"
            );
        }
        live.sort_unstable();
        expected.sort_unstable();
        assert_eq!(live, expected, "there is not what was asked for");
    }

    /// Every key is of the last turn that was asked for, and nothing of those before is left.
    pub(crate) fn assert_keys_are_newest(&self) {
        let records = &self.shared.state.borrow().records;
        assert!(
            records.has_newest_keys(),
            "{:?}, {:?}",
            records.keys,
            records.safe
        );
    }

    /// The cluster is deleted, and nothing is left of it; the neighbour's nodes run.
    pub(crate) fn assert_nothing_is_left(&mut self) {
        assert!(self.shared.state.borrow().records.deleted);
        for _ in 0..3 * SWEEP {
            self.tick();
        }
        assert!(self.shared.live().is_empty(), "leaked: {:?}", self.shared.live());
        let networks = self.shared.provider.networks();
        assert!(networks.is_empty(), "leaked: {networks:?}");
        let mut neighbours = self.shared.provider.machines();
        neighbours.retain(|machine| machine.cluster == NEIGHBOUR);
        assert!(
            neighbours
                .iter()
                .all(|machine| machine.status == NodeStatus::Running),
            "another cluster's nodes were touched: {neighbours:?}"
        );
    }

    /// Controls that run, a random one a step at a time, until none has anything to do.
    fn work(&mut self, awake: &[usize]) {
        for _ in 0..BUSY {
            let is_due = self.shared.state.borrow().records.is_due();
            let mut ready = awake.to_vec();
            ready.retain(|control| {
                let one = &self.controls[*control];
                one.paused_for == 0 && (is_due || one.look.is_some())
            });
            if ready.is_empty() {
                return;
            }
            let next = ready[self.shared.state.borrow_mut().dice.index(ready.len())];
            self.step(next);
        }
        panic!("the drivers do not come to rest");
    }

    fn step(&mut self, me: usize) {
        let control = &mut self.controls[me];
        if control.dies_after == Some(0) {
            self.end(me);
            self.begin(me);
            return;
        }
        if let Some((0, ticks)) = control.stands_after {
            (control.stands_after, control.paused_for) = (None, ticks);
            return;
        }
        control.dies_after = control.dies_after.map(|left| left - 1);
        control.stands_after = control.stands_after.map(|(left, ticks)| (left - 1, ticks));
        control.steps += 1;
        let Some(look) = &mut control.look else {
            let lease = self.shared.state.borrow_mut().records.take_due();
            let shared = Rc::clone(&self.shared);
            control.look = lease.map(|lease| Box::pin(Driver { shared, me, lease }.look()) as _);
            return;
        };
        if look
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            control.look = None;
        }
    }

    /// The process dies where it is; its lease stays until it is over.
    fn end(&mut self, control: usize) {
        let steps = self.controls[control].steps;
        self.controls[control] = Control {
            steps,
            ..Control::default()
        };
    }

    /// Another process takes its place.
    fn begin(&mut self, control: usize) {
        let mut state = self.shared.state.borrow_mut();
        let now = state.records.now;
        state.ears[control] = Ears::new(now);
    }

    fn awake(&self) -> Vec<usize> {
        (0..self.controls.len())
            .filter(|control| self.controls[*control].paused_for == 0)
            .collect()
    }
}
