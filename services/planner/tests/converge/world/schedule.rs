//! Whole schedules, each made of one seed.

use updraft_model::OnStop;
use updraft_provider::simulated::Faults;

use super::dice::Dice;
use super::happening::{BOOT, Happening, Quality, Remedy, Setting, Troubles};
use super::parts::Part;
use super::provider::Refusal;

/// Happenings, each with the ticks that pass after it.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) setting: Setting,
    pub(crate) happenings: Vec<(Happening, u32)>,
    /// Whether what is refused or fails by then does so for as long as people wait for an operation.
    pub(crate) lasts: bool,
    /// What is done about a wish that the provider refuses for good.
    pub(crate) remedy: Remedy,
}

// === impl Schedule ===

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let controls = 1 + dice.index(2);
        let setting = Setting {
            seed: dice.roll(),
            faults: faults(&mut dice),
            troubles: troubles(&mut dice),
            boot: boot(&mut dice),
            clocks: (0..controls).map(|_| clock(&mut dice)).collect(),
        };
        let length = 1 + dice.index(25);
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
        Self {
            setting,
            happenings,
            lasts: dice.below(3) == 0,
            remedy: [Remedy::Change, Remedy::Change, Remedy::Stop, Remedy::Delete][dice.index(4)],
        }
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

/// Each in some schedules only.
fn troubles(dice: &mut Dice) -> Troubles {
    let mut some = |most| match dice.below(3) {
        0 => dice.percent(most),
        _ => 0,
    };
    Troubles {
        unheard: some(30),
        ailing: [some(60), some(60), some(4)],
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
    match dice.below(58) {
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
        30..32 => Happening::Heavy {
            workers: u32::from(dice.percent(4)),
            machine: machine(dice),
        },
        32..34 => Happening::HeavyUpTo(u32::from(dice.percent(4))),
        34..37 => Happening::Tasks(u32::from(dice.percent(10))),
        37..39 => Happening::ReclaimNotice(dice.index(64)),
        39 => Happening::OnStop([OnStop::Keep, OnStop::Keep, OnStop::End][dice.index(3)]),
        40..42 => Happening::RotateKeys,
        42..45 => Happening::FailChecks(dice.index(64)),
        45 => Happening::PassChecks,
        46..49 => Happening::Refuse(Refusal::ALL[dice.index(5)]),
        49 => Happening::Mend,
        50..53 => ailment(dice),
        53..55 => Happening::KeepVolume(dice.index(64)),
        _ => Happening::AgentsReconnect,
    }
}

/// Of the types that it may be, two are refused.
fn machine(dice: &mut Dice) -> u32 {
    [0, 0, 0, 1, 1, 2, 3, 4][dice.index(8)]
}

/// Bucket and database may be away altogether.
fn ailment(dice: &mut Dice) -> Happening {
    let part = [Part::Bucket, Part::Database, Part::Records][dice.index(3)];
    let percent = match part {
        Part::Records => dice.percent(10),
        Part::Bucket | Part::Database if dice.below(2) == 0 => 100,
        Part::Bucket | Part::Database => dice.percent(90),
    };
    Happening::Ail { part, percent }
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
