//! What may happen to a cluster, and whole schedules of it, each made of one seed.

use updraft_model::OnStop;
use updraft_provider::simulated::Faults;

use super::dice::Dice;

/// Ticks that a machine takes to start as a rule.
const BOOT: u32 = 8;

/// What can happen to a cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    Start,
    Stop,
    Restart,
    Scale(u32),
    /// A second queue gets so many workers on machines of this type; with none of either it is taken away.
    Heavy {
        workers: u32,
        machine: u32,
    },
    /// The second queue scales by itself, up to so many workers.
    HeavyUpTo(u32),
    /// So many tasks wait in the second queue.
    Tasks(u32),
    /// Another environment is asked for, of this quality.
    ChangeEnvironment(Quality),
    RotateKeys,
    Delete,
    LoseNode(usize),
    HangAgent(usize),
    /// The provider's checks of a machine fail; what runs on it goes on.
    FailChecks(usize),
    /// They pass again, of whatever still runs.
    PassChecks,
    SwitchOff(usize),
    SwitchOffAll,
    /// The provider will take a node back in two minutes, and its agent knows.
    ReclaimNotice(usize),
    /// One control dies after so many more steps; another begins in its stead at the next tick.
    CrashAfterSteps {
        control: usize,
        steps: u32,
    },
    /// After so many more steps one control stands still for so many ticks, and then goes on: its lease may be over.
    Pause {
        control: usize,
        steps: u32,
        ticks: u32,
    },
    /// What becomes of machines while the cluster is stopped.
    OnStop(OnStop),
    /// No control for so many ticks.
    ControlAway(u32),
    /// Every agent turns to whichever control answers.
    AgentsReconnect,
}

/// What an asked-for environment turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quality {
    Good,
    /// It does not pass its build.
    Refused,
    /// It passes its build, and services do not start with it.
    Broken,
    /// It passes its build, and its script fails on nodes.
    Unprepared,
}

/// What a world is made with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) faults: Faults,
    /// Ticks from a machine's start to its agent's first report.
    pub(crate) boot: u32,
    /// By how many seconds each control's own clock is ahead; there are as many controls.
    pub(crate) clocks: Vec<i64>,
}

/// Happenings, each with the ticks that pass after it.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) setting: Setting,
    pub(crate) happenings: Vec<(Happening, u32)>,
}

// === impl Setting ===

impl Setting {
    /// One control whose clock is right.
    pub(crate) fn one(faults: Faults) -> Self {
        Self {
            seed: 1,
            faults,
            boot: BOOT,
            clocks: vec![0],
        }
    }
}

// === impl Schedule ===

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let controls = 1 + dice.index(2);
        let setting = Setting {
            seed: dice.roll(),
            faults: faults(&mut dice),
            boot: boot(&mut dice),
            clocks: (0..controls).map(|_| clock(&mut dice)).collect(),
        };
        let length = 1 + dice.index(23);
        let mut happenings = Vec::new();
        for _ in 0..length {
            let what = happening(&mut dice);
            happenings.push((what, u32::from(dice.percent(12))));
            if matches!(what, Happening::Pause { .. }) {
                // What it was about to do when it stood still is not what is wanted when it goes on.
                happenings.push((wish(&mut dice), u32::from(dice.percent(3))));
                happenings.push((wish(&mut dice), u32::from(dice.percent(24))));
            }
        }
        Self { setting, happenings }
    }
}

fn faults(dice: &mut Dice) -> Faults {
    Faults {
        throttled: dice.percent(30),
        capacity: dice.percent(30),
        quota: dice.percent(15),
        answer_lost: dice.percent(30),
        listed_after: dice.below(4),
        slow: dice.below(4),
    }
}

/// Mostly as it is, and at times longer than a node may be silent that has reported.
fn boot(dice: &mut Dice) -> u32 {
    let more = if dice.below(3) == 0 { dice.percent(24) } else { 0 };
    BOOT + u32::from(more)
}

fn clock(dice: &mut Dice) -> i64 {
    match dice.below(3) {
        0 => i64::from(dice.percent(240)) - 120,
        _ => 0,
    }
}

fn happening(dice: &mut Dice) -> Happening {
    match dice.below(48) {
        0..3 => Happening::Start,
        3..5 => Happening::Stop,
        5 => Happening::Restart,
        6..8 => Happening::Scale(u32::from(dice.percent(4))),
        8..11 => Happening::ChangeEnvironment(quality(dice)),
        11 => Happening::Delete,
        12..15 => Happening::LoseNode(dice.index(64)),
        15..17 => Happening::HangAgent(dice.index(64)),
        17..19 => Happening::SwitchOffAll,
        19..21 => Happening::SwitchOff(dice.index(64)),
        21..25 => Happening::CrashAfterSteps {
            control: dice.index(2),
            steps: u32::from(dice.percent(30)),
        },
        25..28 => Happening::Pause {
            control: dice.index(2),
            steps: u32::from(dice.percent(30)),
            ticks: pause(dice),
        },
        28..30 => Happening::ControlAway(1 + u32::from(dice.percent(40))),
        34..36 => Happening::HeavyUpTo(u32::from(dice.percent(4))),
        36..39 => Happening::Tasks(u32::from(dice.percent(10))),
        42..44 => Happening::RotateKeys,
        44..47 => Happening::FailChecks(dice.index(64)),
        47 => Happening::PassChecks,
        39..41 => Happening::ReclaimNotice(dice.index(64)),
        41 => Happening::OnStop([OnStop::Keep, OnStop::Keep, OnStop::End][dice.index(3)]),
        30..32 => Happening::Heavy {
            workers: u32::from(dice.percent(4)),
            machine: u32::from(dice.percent(2)),
        },
        _ => Happening::AgentsReconnect,
    }
}

fn wish(dice: &mut Dice) -> Happening {
    [Happening::Start, Happening::Stop, Happening::Scale(0)][dice.index(3)]
}

/// Shorter than a lease or longer, and now and then longer than any silence is borne.
fn pause(dice: &mut Dice) -> u32 {
    let long = if dice.below(4) == 0 { 130 } else { 1 };
    long + u32::from(dice.percent(30))
}

fn quality(dice: &mut Dice) -> Quality {
    [
        Quality::Good,
        Quality::Refused,
        Quality::Broken,
        Quality::Unprepared,
    ][dice.index(4)]
}
