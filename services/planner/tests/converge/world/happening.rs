//! What may happen to a cluster, and what a world is made with.

use updraft_model::OnStop;
use updraft_provider::simulated::Faults;

use super::parts::Part;
use super::provider::Refusal;

/// Ticks that a machine takes to start as a rule.
pub(super) const BOOT: u32 = 8;

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
    /// The provider does this no more.
    Refuse(Refusal),
    /// It does all again.
    Mend,
    /// From now on so many of 100 calls to it fail.
    Ail {
        part: Part,
        percent: u8,
    },
    /// Somebody has a machine's volume outlive it.
    KeepVolume(usize),
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

/// What goes wrong beside the provider's own faults.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Troubles {
    /// Of 100 requests, so many never reach the provider.
    pub(crate) unheard: u8,
    /// Of 100 calls to each part, so many fail.
    pub(crate) ailing: [u8; 3],
}

/// What people do about a wish that the provider refuses for good.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Remedy {
    /// They wish for something else.
    Change,
    Stop,
    Delete,
}

/// What a world is made with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) faults: Faults,
    pub(crate) troubles: Troubles,
    /// Ticks from a machine's start to its agent's first report.
    pub(crate) boot: u32,
    /// By how many seconds each control's own clock is ahead; there are as many controls.
    pub(crate) clocks: Vec<i64>,
}

// === impl Setting ===

impl Setting {
    /// One control whose clock is right.
    pub(crate) fn one(faults: Faults) -> Self {
        Self {
            seed: 1,
            faults,
            troubles: Troubles::default(),
            boot: BOOT,
            clocks: vec![0],
        }
    }
}
