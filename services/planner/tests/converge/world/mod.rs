//! One cluster in a world of its own: records, a provider that errs, agents, and one or two controls that drive it in
//! single steps, so that each may die, or stand still, between any two.

mod agents;
mod bugs;
mod control;
mod dice;
mod driver;
mod ears;
mod ends;
mod execute;
mod happen;
mod happening;
mod laws;
mod observe;
mod parts;
mod provider;
mod records;
mod row;
mod schedule;
mod shared;
mod sweep;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use updraft_model::{ClusterId, NodeId};
use updraft_provider::ProviderId;
use updraft_provider::simulated::{Faults, SimulatedProvider};

use agents::Agent;
pub(crate) use bugs::Bug;
use control::Control;
use dice::Dice;
use ears::Ears;
pub(crate) use happening::{Happening, Quality, Remedy, Setting, Troubles};
pub(crate) use parts::Part;
use parts::Parts;
use provider::Mood;
pub(crate) use provider::Refusal;
use records::Records;
pub(crate) use schedule::Schedule;

const TICK: TimeDelta = TimeDelta::seconds(5);
const CLUSTER: ClusterId = ClusterId(1);
/// Of another tenant: nothing ever touches its nodes.
const NEIGHBOUR: ClusterId = ClusterId(2);
/// Ticks in which everything that was asked for is reached once nothing more goes wrong.
const PATIENCE: u32 = 2000;
/// Ticks in which an operation that cannot succeed says so: the longest that people wait for a start, and for a change before.
const LONGEST_WAIT: u32 = 1000;
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
    mood: RefCell<Mood>,
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
    parts: Parts,
    dice: Dice,
    /// Ticks that an agent takes to report after its machine's start.
    boot: u32,
    /// Machines that a driver launched whose lease was over.
    late: HashSet<ProviderId>,
    /// Whether one made a network when its lease was over, or saw none where one was not listed yet: the sweep is there for that.
    late_network: bool,
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
            mood: RefCell::new(Mood::new(!setting.seed)),
            state: RefCell::new(State {
                records: Records::new(now),
                agents: HashMap::new(),
                ears: (0..controls).map(|_| Ears::new(now)).collect(),
                parts: Parts::new(setting.seed.rotate_left(32), setting.troubles.ailing),
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
        shared.mood.borrow_mut().unheard = setting.troubles.unheard;
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

    /// All answer well from now on, and nobody dies; who stands still goes on when its time has come.
    pub(crate) fn calm_down(&mut self) {
        self.end_accidents();
        self.shared.mood.borrow_mut().refusal = None;
        let mut state = self.shared.state.borrow_mut();
        state.parts.ail(Part::Bucket, 0);
        state.parts.ail(Part::Database, 0);
    }

    /// Only what is refused, or does not work, stays so.
    fn end_accidents(&mut self) {
        self.shared.provider.set_faults(Faults::default());
        self.shared.mood.borrow_mut().unheard = 0;
        self.shared.state.borrow_mut().parts.ail(Part::Records, 0);
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

    /// While something is refused or does not work, and nothing else goes wrong: an operation that waits for nodes to come
    /// ends, and says why. What goes waits for as long as it takes.
    pub(crate) fn endure(&mut self) {
        self.end_accidents();
        for _ in 0..LONGEST_WAIT {
            if !self.shared.waits_for_nodes() {
                return;
            }
            self.tick();
        }
        let state = self.shared.state.borrow();
        panic!(
            "an operation neither ends nor says why: phase {:?}, resources {:?}, keys {:?}, environment {:?}",
            state.records.phase, state.records.resources, state.records.keys, state.records.environment
        );
    }

    pub(crate) fn put_right(&mut self, remedy: Remedy) {
        self.shared.put_right(remedy);
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
}
