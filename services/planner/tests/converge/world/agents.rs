//! Agents: each takes up what it is told, says so to one of the controls, and turns to another when that does not answer.

use chrono::{DateTime, Utc};
use updraft_model::{AgentPhase, Failure, NodeRole, ServiceName, ServiceState, ServiceStatus};
use updraft_planner::{Build, BuildOutcome, EnvironmentChange, KeyTurn, Reencryption, Report};

use super::happening::Quality;
use super::records::{Records, Safe};
use super::row::{Row, RowState};
use super::{State, TICK, laws};

/// Ticks of two minutes.
const NOTICE: u32 = 24;
/// Reports without an answer after which an agent turns to another control.
const PATIENCE: u32 = 2;

#[derive(Default)]
pub(crate) struct Agent {
    pub(crate) hung: bool,
    /// Ticks until its machine is taken back.
    pub(crate) reclaimed: Option<u32>,
    version: i64,
    busy_until: Option<DateTime<Utc>>,
    control: usize,
    unanswered: u32,
    /// Ticks that its machine has run.
    up_for: u32,
    /// Ticks that the build under way took so far.
    built_for: u32,
    reencrypted: Option<Reencryption>,
    /// Of the turn it works on, ticks so far.
    writes_for: (u32, u32),
}

/// Every agent that runs reports once.
pub(crate) fn report(state: &mut State, machines: &[updraft_provider::simulated::Machine], awake: &[usize]) {
    let State {
        records,
        agents,
        ears,
        dice,
        parts,
        boot,
        ..
    } = state;
    let now = records.now;
    let (mut transition, given) = (false, Given::of(records));
    let mut safe = records.safe.clone();
    for row in records
        .rows
        .iter_mut()
        .filter(|row| matches!(row.state, RowState::Intended | RowState::Launched))
    {
        let running = machines
            .iter()
            .any(|machine| machine.node == row.id && machine.status.is_up());
        let agent = agents.entry(row.id).or_default();
        if !running {
            (agent.version, agent.up_for) = (0, 0);
            continue;
        }
        agent.up_for += 1;
        if agent.hung || agent.up_for <= *boot || !agent.is_answered(awake, dice) {
            continue;
        }
        let report = agent.work(row, &given, now);
        if report.phase == AgentPhase::Running {
            laws::may_use(parts, &records.safe);
        }
        if row.role == NodeRole::Scheduler && row.stop_asked_at.is_none() {
            let said = agent.reencrypted.clone();
            agent.write_anew(&given, &mut safe);
            transition |= said != agent.reencrypted;
        }
        if ears[agent.control].hear(row.id, &report, now) {
            (row.report, row.reported_at) = (Some(report), Some(now));
            transition = true;
        }
    }
    records.safe.encrypted = safe.encrypted;
    if transition {
        records.wake();
    }
}

/// What the scheduler's agent says of the build.
pub(crate) fn build(state: &State) -> Option<Build> {
    let scheduler = state.records.live_rows().find(|row| {
        row.role == NodeRole::Scheduler && row.state == RowState::Launched && row.report.is_some()
    })?;
    let outcome = match (
        state.agents.get(&scheduler.id)?.built_for,
        state.records.wanted_environment,
    ) {
        (0, _) => return None,
        (1..4, _) => BuildOutcome::Running,
        (_, Quality::Refused) => BuildOutcome::Refused(refusal()),
        (_, Quality::Good | Quality::Broken | Quality::Unprepared) => BuildOutcome::Ready,
    };
    Some(Build {
        planned: Vec::new(),
        stages: Vec::new(),
        outcome,
    })
}

/// What the scheduler's agent says of what Airflow keeps encrypted. Airflow writes it anew all at once, some time after the
/// node came up.
pub(crate) fn reencryption(state: &State) -> Option<Reencryption> {
    let writer = state.records.live_rows().find(|row| {
        row.role == NodeRole::Scheduler && row.state == RowState::Launched && row.report.is_some()
    })?;
    state.agents.get(&writer.id)?.reencrypted.clone()
}

/// What nodes are given now.
struct Given {
    building: bool,
    broken: Vec<NodeRole>,
    unprepared: bool,
    /// The turn whose keys what is encrypted is to be written anew with.
    reencrypts: Option<u32>,
    generation: updraft_model::Generation,
}

// === impl Given ===

impl Given {
    fn of(records: &Records) -> Self {
        let bad = matches!(records.wanted_environment, Quality::Broken | Quality::Unprepared);
        let broken: &[NodeRole] = match records.environment {
            EnvironmentChange::Settled | EnvironmentChange::All { .. } if bad => NodeRole::ALL,
            EnvironmentChange::Workers { .. } if bad => &[NodeRole::Worker],
            _ => &[],
        };
        Self {
            building: records.environment == EnvironmentChange::Building,
            broken: broken.to_vec(),
            unprepared: records.wanted_environment == Quality::Unprepared,
            reencrypts: matches!(records.keys, KeyTurn::Reencrypting { .. }).then_some(records.turns),
            generation: records.generation,
        }
    }
}

// === impl Agent ===

impl Agent {
    pub(crate) fn turn_to(&mut self, control: usize) {
        (self.control, self.unanswered) = (control, 0);
    }

    /// From the notice on.
    pub(crate) fn be_reclaimed(&mut self) {
        self.reclaimed.get_or_insert(NOTICE);
    }

    /// Whether its machine is taken back now.
    pub(crate) fn ends_now(&mut self) -> bool {
        let left = self.reclaimed.as_mut();
        left.is_some_and(|left| {
            *left = left.saturating_sub(1);
            *left == 0
        })
    }

    fn write_anew(&mut self, given: &Given, safe: &mut Safe) {
        let Some(turn) = given.reencrypts else {
            self.reencrypted = None;
            return;
        };
        let (of, ticks) = self.writes_for;
        self.writes_for = if of == turn { (turn, ticks + 1) } else { (turn, 1) };
        self.reencrypted = Some(if self.writes_for.1 < 3 {
            Reencryption::Running
        } else {
            // The command may be run again at any time: it changes nothing then.
            safe.encrypted = safe.current;
            Reencryption::Done
        });
    }

    pub(crate) fn begin_another_build(&mut self) {
        self.built_for = 0;
    }

    fn is_answered(&mut self, awake: &[usize], dice: &mut super::dice::Dice) -> bool {
        if awake.contains(&self.control) {
            self.unanswered = 0;
            return true;
        }
        self.unanswered += 1;
        if self.unanswered >= PATIENCE && !awake.is_empty() {
            self.turn_to(awake[dice.index(awake.len())]);
        }
        false
    }

    fn work(&mut self, row: &Row, given: &Given, now: DateTime<Utc>) -> Report {
        if self.version < row.version {
            self.version = row.version;
            self.busy_until = Some(now + TICK * 2);
        }
        let stopping = row.stop_asked_at.is_some();
        if given.building && self.version > 0 && row.role == NodeRole::Scheduler && !stopping {
            self.built_for += 1;
        }
        let fails = given.broken.contains(&row.role);
        let busy = self.version == 0 || self.busy_until.is_some_and(|until| now < until);
        let phase = match (stopping, busy) {
            (false, true) => AgentPhase::Starting,
            (false, false) if fails && given.unprepared => AgentPhase::Preparing,
            (false, false) if fails => AgentPhase::Degraded,
            (false, false) => AgentPhase::Running,
            (true, true) => AgentPhase::Stopping,
            (true, false) => AgentPhase::Stopped,
        };
        Report {
            phase,
            assignment_version: (self.version > 0).then_some(self.version),
            generation: Some(given.generation),
            services: (fails && !given.unprepared)
                .then(backing_off)
                .into_iter()
                .collect(),
            reclaimed: self.reclaimed.is_some(),
            metadata_failure: None,
            script_failure: (fails && given.unprepared && !busy).then(refusal),
            steps: Vec::new(),
        }
    }
}

fn refusal() -> Failure {
    Failure {
        code: "environment_refused".to_owned(),
        message: "the requirements contradict each other".to_owned(),
        remedy: "correct them".to_owned(),
    }
}

fn backing_off() -> ServiceStatus {
    ServiceStatus {
        name: ServiceName::Worker,
        state: ServiceState::BackingOff,
        pid: None,
        started_at: None,
        restarts: 3,
        detail: None,
    }
}
