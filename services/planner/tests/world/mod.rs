//! One cluster's records, nodes and agents, with control's driver run in single effects.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::Value;
use updraft_model::{
    AgentPhase, ClusterId, Failure, Generation, NodeCounts, NodeId, NodeRole, OperationKind, Phase, Power,
    ServiceName, ServiceState, ServiceStatus, Step,
};
use updraft_planner::{
    Action, Build, BuildOutcome, Desired, EnvironmentChange, EnvironmentStage, LaunchFailure,
    LaunchFailureKind, Loss, Node, NodeState, Observed, Operation, Orphan, Outcome, PlaceHistory,
    ProviderView, Report, Resource, plan,
};
use updraft_provider::simulated::{Faults, SimulatedProvider};
use updraft_provider::{
    BootSecret, ClientToken, LaunchRequest, Launched, NodeProvider, NodeStatus, NodeWanted, ProviderError,
    ProviderId,
};
use uuid::Uuid;

const TICK: TimeDelta = TimeDelta::seconds(5);
const CLUSTER: ClusterId = ClusterId(1);

/// What can happen to a cluster.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Start,
    Stop,
    Restart,
    Scale(u32),
    /// Another environment is asked for, of this quality.
    ChangeEnvironment(Quality),
    Delete,
    LoseNode(usize),
    HangAgent(usize),
    SwitchOff(usize),
    SwitchOffAll,
    /// The driver dies after so many more effects; another begins at the next tick.
    CrashAfterEffects(u32),
    /// No control for so many ticks.
    ControlAway(i64),
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

pub(crate) struct World {
    pub(crate) provider: SimulatedProvider,
    runtime: tokio::runtime::Runtime,
    now: DateTime<Utc>,
    control_since: DateTime<Utc>,
    power: Power,
    generation: Generation,
    workers: u32,
    environment: EnvironmentChange,
    wanted_environment: Quality,
    /// Ticks that the build under way has taken, by the node that builds.
    built_for: HashMap<NodeId, u32>,
    operation: Option<(OperationKind, DateTime<Utc>, Vec<Step>)>,
    outcome: Option<Outcome>,
    phase: Phase,
    resources: [Resource; 3],
    deleted: bool,
    rows: Vec<Row>,
    agents: HashMap<NodeId, Agent>,
    effects_left: Option<u32>,
    next_id: u128,
}

struct Row {
    id: NodeId,
    role: NodeRole,
    ordinal: u32,
    generation: Generation,
    state: RowState,
    request: Value,
    provider_id: Option<ProviderId>,
    created_at: DateTime<Utc>,
    launched_at: Option<DateTime<Utc>>,
    stop_asked_at: Option<DateTime<Utc>>,
    gone_at: Option<DateTime<Utc>>,
    loss: Option<Loss>,
    attempts: u32,
    attempted_at: Option<DateTime<Utc>>,
    failure: Option<LaunchFailure>,
    version: i64,
    report: Option<Report>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RowState {
    Intended,
    Launched,
    Terminating,
    Gone,
}

#[derive(Default)]
struct Agent {
    hung: bool,
    version: i64,
    busy_until: Option<DateTime<Utc>>,
    heard_at: Option<DateTime<Utc>>,
}

/// The driver died.
struct Crash;

// === impl World ===

impl World {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let lag = Duration::from_secs(5 * (faults.listed_after + 1));
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Self {
            provider: SimulatedProvider::new(seed, faults, lag),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            now,
            control_since: now,
            power: Power::Stopped,
            generation: Generation::FIRST,
            workers: 1,
            environment: EnvironmentChange::Settled,
            wanted_environment: Quality::Good,
            built_for: HashMap::new(),
            operation: None,
            outcome: None,
            phase: Phase::Stopped,
            resources: [Resource::Absent, Resource::Absent, Resource::Absent],
            deleted: false,
            rows: Vec::new(),
            agents: HashMap::new(),
            effects_left: None,
            next_id: 1,
        }
    }

    pub(crate) fn power(&self) -> Power {
        self.power
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted
    }

    pub(crate) fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Start => self.ask(OperationKind::Start, Power::Running),
            Happening::Stop => self.ask(OperationKind::Stop, Power::Stopped),
            Happening::Delete => self.ask(OperationKind::Delete, Power::Deleted),
            Happening::Restart => {
                self.ask(OperationKind::Restart, self.power);
                for row in &mut self.rows {
                    row.version += 1;
                }
            }
            Happening::Scale(workers) => {
                if self.power != Power::Deleted {
                    self.workers = *workers;
                }
                self.ask(OperationKind::Update, self.power);
            }
            Happening::ChangeEnvironment(quality) => {
                if self.power != Power::Deleted {
                    self.wanted_environment = *quality;
                    self.give(EnvironmentChange::Building);
                }
                self.ask(OperationKind::Update, self.power);
            }
            Happening::LoseNode(which) => {
                if let Some(id) = self.pick(*which) {
                    self.provider.lose(&id);
                }
            }
            Happening::SwitchOff(which) => {
                if let Some(id) = self.pick(*which) {
                    self.provider.switch_off(&id);
                }
            }
            Happening::SwitchOffAll => {
                for machine in self
                    .provider
                    .live()
                    .iter()
                    .filter(|m| m.status == NodeStatus::Running)
                {
                    self.provider.switch_off(&machine.id);
                }
            }
            Happening::HangAgent(which) => {
                if let Some(id) = self.pick(*which) {
                    let node = self
                        .provider
                        .live()
                        .into_iter()
                        .find(|m| m.id == id)
                        .unwrap()
                        .node;
                    self.agents.entry(node).or_default().hung = true;
                }
            }
            Happening::CrashAfterEffects(effects) => self.effects_left = Some(*effects),
            Happening::ControlAway(ticks) => {
                for _ in 0..*ticks {
                    self.pass_time();
                }
                self.control_since = self.now;
            }
        }
    }

    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Nodes are given what this stage means for them; newest assignments are versions of their own.
    fn give(&mut self, environment: EnvironmentChange) {
        self.built_for.clear();
        self.environment = environment;
        for row in &mut self.rows {
            row.version += 1;
        }
    }

    /// Whether a node of this role is given an environment with which nothing starts.
    fn is_broken(&self, role: NodeRole) -> bool {
        let given = match self.environment {
            EnvironmentChange::Settled | EnvironmentChange::All { .. } => true,
            EnvironmentChange::Workers { .. } => role == NodeRole::Worker,
            EnvironmentChange::Building | EnvironmentChange::Abandoned { .. } => false,
        };
        given && matches!(self.wanted_environment, Quality::Broken | Quality::Unprepared)
    }

    /// What the scheduler's agent says of the build.
    fn build(&self) -> Option<Build> {
        let (_, ticks) = self.built_for.iter().next()?;
        let outcome = match (ticks, self.wanted_environment) {
            (0..3, _) => BuildOutcome::Running,
            (_, Quality::Refused) => BuildOutcome::Refused(refusal()),
            (_, Quality::Good | Quality::Broken | Quality::Unprepared) => BuildOutcome::Ready,
        };
        Some(Build {
            planned: Vec::new(),
            stages: Vec::new(),
            outcome,
        })
    }

    /// The provider answers well from now on.
    pub(crate) fn calm_down(&mut self) {
        self.effects_left = None;
        self.provider.set_faults(Faults::default());
    }

    /// Time passes, agents report, and the driver looks until it has nothing to do.
    pub(crate) fn tick(&mut self) {
        self.pass_time();
        self.agents_report();
        for _ in 0..20 {
            let Some(idle) = self.drive() else { break };
            self.assert_safe();
            if idle {
                break;
            }
        }
    }

    pub(crate) fn run_until_settled(&mut self) {
        for _ in 0..2000 {
            if self.is_settled() {
                return;
            }
            self.tick();
        }
        panic!(
            "does not converge: power {:?}, phase {:?}, plan {:#?}, observed {:#?}",
            self.power,
            self.phase,
            self.observe().map(|o| plan(&self.desired(), &o, self.now)),
            self.observe()
        );
    }

    pub(crate) fn assert_as_asked(&self) {
        let live: Vec<_> = self.provider.live().iter().map(|m| (m.role, m.ordinal)).collect();
        let mut expected = Vec::new();
        if self.power == Power::Running {
            let counts = self.counts();
            for role in [NodeRole::Scheduler, NodeRole::Web, NodeRole::Worker] {
                expected.extend((1..=counts.of(role)).map(|ordinal| (role, ordinal)));
            }
        }
        let mut sorted = live;
        sorted.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sorted, expected);
    }

    /// No two nodes in one place, ever; no healthy wanted node is ending.
    fn assert_safe(&self) {
        let mut places = HashMap::new();
        for machine in self.provider.live() {
            let other = places.insert((machine.role, machine.ordinal), machine.id.clone());
            assert!(
                other.is_none(),
                "two nodes in {:?} {}",
                machine.role,
                machine.ordinal
            );
        }
    }

    fn is_settled(&self) -> bool {
        if self.power == Power::Running
            && !matches!(
                self.environment,
                EnvironmentChange::Settled | EnvironmentChange::Abandoned { .. }
            )
        {
            return false;
        }
        let phase = match self.power {
            Power::Running => self.phase == Phase::Running,
            Power::Stopped => self.phase == Phase::Stopped,
            Power::Deleted => return self.deleted,
        };
        let alive = self.provider.live().iter().all(|m| {
            m.status == NodeStatus::Running && !self.agents.get(&m.node).is_some_and(|agent| agent.hung)
        });
        let rows = self.rows.iter().filter(|row| row.state != RowState::Gone).count();
        phase && alive && self.operation.is_none() && rows == self.provider.live().len() && self.heard_all()
    }

    fn heard_all(&self) -> bool {
        let version =
            |row: &&Row| row.report.as_ref().and_then(|r| r.assignment_version) == Some(row.version);
        self.rows
            .iter()
            .filter(|row| row.state == RowState::Launched)
            .all(|row| version(&row))
            && (self.power != Power::Running
                || self.rows.iter().filter(|r| r.state == RowState::Launched).count()
                    == usize::try_from(self.counts().total()).unwrap())
    }

    fn ask(&mut self, kind: OperationKind, power: Power) {
        if self.power == Power::Deleted {
            return;
        }
        self.power = power;
        self.generation = self.generation.next();
        self.operation = Some((kind, self.now, Vec::new()));
    }

    fn pick(&self, which: usize) -> Option<ProviderId> {
        let live: Vec<_> = self
            .provider
            .live()
            .into_iter()
            .filter(|m| m.status == NodeStatus::Running)
            .collect();
        (!live.is_empty()).then(|| live[which % live.len()].id.clone())
    }

    fn pass_time(&mut self) {
        self.now += TICK;
        self.provider.tick();
    }

    fn agents_report(&mut self) {
        let broken = |role| self.is_broken(role);
        let broken: Vec<NodeRole> = NodeRole::ALL
            .iter()
            .copied()
            .filter(|role| broken(*role))
            .collect();
        let building = self.environment == EnvironmentChange::Building;
        let unprepared = self.wanted_environment == Quality::Unprepared;
        let machines = self.provider.live();
        for row in self.rows.iter_mut().filter(|r| r.state == RowState::Launched) {
            let running = machines
                .iter()
                .any(|m| Some(&m.id) == row.provider_id.as_ref() && m.status == NodeStatus::Running);
            let agent = self.agents.entry(row.id).or_default();
            if !running {
                agent.version = 0;
                continue;
            }
            if agent.hung {
                continue;
            }
            if agent.version < row.version {
                agent.version = row.version;
                agent.busy_until = Some(self.now + TICK * 2);
            }
            if building && row.role == NodeRole::Scheduler && row.stop_asked_at.is_none() {
                let before = self.built_for.remove(&row.id).map_or(0, |ticks| ticks + 1);
                self.built_for = HashMap::from([(row.id, before)]);
            }
            let fails = broken.contains(&row.role);
            let busy = agent.busy_until.is_some_and(|until| self.now < until);
            let phase = match (row.stop_asked_at.is_some(), busy) {
                (false, true) => AgentPhase::Starting,
                (false, false) if fails && unprepared => AgentPhase::Preparing,
                (false, false) if fails => AgentPhase::Degraded,
                (false, false) => AgentPhase::Running,
                (true, true) => AgentPhase::Stopping,
                (true, false) => AgentPhase::Stopped,
            };
            agent.heard_at = Some(self.now);
            row.report = Some(Report {
                phase,
                assignment_version: Some(agent.version),
                generation: Some(self.generation),
                services: (fails && !unprepared).then(backing_off).into_iter().collect(),
                script_failure: (fails && unprepared && !busy).then(refusal),
                steps: Vec::new(),
            });
        }
    }

    fn counts(&self) -> NodeCounts {
        NodeCounts {
            scheduler: 1,
            web: 1,
            worker: self.workers,
        }
    }

    fn desired(&self) -> Desired {
        Desired {
            power: self.power,
            generation: self.generation,
            nodes: self.counts(),
            environment: self.environment.clone(),
            operation: self.operation.clone().map(|(kind, created_at, steps)| Operation {
                kind,
                generation: self.generation,
                created_at,
                steps,
            }),
            terminate_unrecorded: false,
        }
    }

    fn observe(&self) -> Option<Observed> {
        let listed = self.runtime.block_on(self.provider.list(Some(CLUSTER))).ok();
        let live = |row: &&Row| row.state != RowState::Gone;
        let nodes = self
            .rows
            .iter()
            .filter(live)
            .map(|row| self.observe_node(row, listed.as_deref()))
            .collect();
        let is_orphan = |id: &ProviderId, node: NodeId| match self.rows.iter().find(|row| row.id == node) {
            Some(row) if row.state == RowState::Gone => true,
            Some(row) => row.provider_id.as_ref().is_some_and(|own| own != id),
            None => true,
        };
        let orphans = listed
            .iter()
            .flatten()
            .filter(|n| n.status != NodeStatus::Ending && is_orphan(&n.id, n.node))
            .map(|n| Orphan {
                provider_id: n.id.0.clone(),
                recorded: self.rows.iter().any(|row| row.id == n.node),
            })
            .collect();
        let [secrets, database, storage] = self.resources.clone();
        Some(Observed {
            phase: self.phase.clone(),
            secrets,
            database,
            storage,
            build: self.build(),
            nodes,
            losses: self.losses(),
            orphans,
            listing_lag: TimeDelta::from_std(self.provider.listing_lag()).unwrap(),
        })
    }

    fn observe_node(&self, row: &Row, listed: Option<&[updraft_provider::ListedNode]>) -> Node {
        let entry = listed.and_then(|nodes| {
            nodes
                .iter()
                .find(|n| n.node == row.id && row.provider_id.as_ref().is_none_or(|id| *id == n.id))
        });
        let provider = match (listed, entry, &row.provider_id) {
            (None, _, _) => ProviderView::Unknown,
            (_, Some(entry), _) => view(entry.status),
            (_, None, None) => ProviderView::Unlisted,
            (_, None, Some(id)) => self
                .runtime
                .block_on(self.provider.describe(id))
                .map_or(ProviderView::Unknown, view),
        };
        let heard = self.agents.get(&row.id).and_then(|agent| agent.heard_at);
        let since = [Some(self.control_since), row.launched_at, heard]
            .into_iter()
            .flatten()
            .max()
            .unwrap();
        Node {
            id: row.id,
            role: row.role,
            ordinal: row.ordinal,
            generation: row.generation,
            state: match row.state {
                RowState::Intended => NodeState::Intended {
                    attempts: row.attempts,
                    attempted_at: row.attempted_at,
                    failure: row.failure.clone(),
                },
                RowState::Launched => NodeState::Launched {
                    at: row.launched_at.unwrap(),
                },
                RowState::Terminating | RowState::Gone => NodeState::Terminating {
                    launched_at: row.launched_at,
                },
            },
            stop_asked_at: row.stop_asked_at,
            loss: row.loss,
            created_at: row.created_at,
            provider,
            assignment_version: row.version,
            report: row.report.clone(),
            silence: self.now - since,
        }
    }

    fn losses(&self) -> Vec<PlaceHistory> {
        let mut places: HashMap<(NodeRole, u32), PlaceHistory> = HashMap::new();
        let recent = self.now - TimeDelta::minutes(30);
        for row in self
            .rows
            .iter()
            .filter(|r| r.loss.is_some() && r.gone_at.is_some_and(|at| at > recent))
        {
            let history = places.entry((row.role, row.ordinal)).or_insert(PlaceHistory {
                role: row.role,
                ordinal: row.ordinal,
                losses: 0,
                never_reported: 0,
                last_lost_at: row.gone_at.unwrap(),
            });
            history.losses += 1;
            history.never_reported = if row.loss == Some(Loss::NeverReported) {
                history.never_reported + 1
            } else {
                0
            };
            history.last_lost_at = history.last_lost_at.max(row.gone_at.unwrap());
        }
        places.into_values().collect()
    }

    /// One look. None: the driver died, or there is nothing to drive; otherwise whether it had nothing to do.
    fn drive(&mut self) -> Option<bool> {
        if self.deleted {
            return None;
        }
        let (desired, observed) = (self.desired(), self.observe()?);
        let plan = plan(&desired, &observed, self.now);
        self.check_timeline(&plan.steps);
        if self.effect().is_err() {
            return None;
        }
        self.phase = plan.phase;
        if let Some((_, _, steps)) = &mut self.operation {
            *steps = plan.steps;
        }
        let idle = plan.actions.is_empty();
        for action in plan.actions {
            self.assert_no_harm(&desired, &action);
            if self.execute(action).is_err() {
                return None;
            }
        }
        Some(idle)
    }

    fn check_timeline(&self, steps: &[Step]) {
        let Some((_, created_at, _)) = &self.operation else {
            return;
        };
        for step in steps {
            let times = [
                Some(*created_at),
                step.started_at,
                step.finished_at,
                Some(self.now),
            ];
            let known: Vec<_> = times.into_iter().flatten().collect();
            assert!(known.is_sorted(), "times out of order: {step:?} in {known:?}");
        }
    }

    fn assert_no_harm(&self, desired: &Desired, action: &Action) {
        match action {
            Action::StopNode { node, .. } | Action::TerminateNode { node, .. } => {
                let row = self.rows.iter().find(|row| row.id == *node).unwrap();
                let wanted = desired.power == Power::Running && row.ordinal <= desired.nodes.of(row.role);
                let works = self.provider.live().iter().any(|m| {
                    Some(&m.id) == row.provider_id.as_ref()
                        && m.status == NodeStatus::Running
                        && !self.agents.get(&row.id).is_some_and(|agent| agent.hung)
                });
                let given_up = row.stop_asked_at.is_some() || row.state == RowState::Terminating;
                assert!(!wanted || !works || given_up, "harms a healthy node: {action:?}");
            }
            Action::TerminateOrphan { provider_id } => {
                let owned = self.rows.iter().any(|row| {
                    row.state != RowState::Gone
                        && row.provider_id.as_ref().is_some_and(|id| id.0 == *provider_id)
                });
                assert!(!owned, "an owned node is taken for an orphan");
            }
            _ => {}
        }
    }

    /// No node is ever given what did not pass, and no change ends well with what does not work.
    fn assert_may_move(&self, to: &EnvironmentStage) {
        let quality = self.wanted_environment;
        match to {
            EnvironmentStage::Workers => assert_ne!(quality, Quality::Refused),
            EnvironmentStage::Settled => assert_eq!(quality, Quality::Good),
            EnvironmentStage::All | EnvironmentStage::Abandoned(_) => {}
        }
    }

    /// Each write and each call is an effect after which the driver may die.
    fn effect(&mut self) -> Result<(), Crash> {
        match &mut self.effects_left {
            Some(0) => {
                self.effects_left = None;
                self.control_since = self.now;
                Err(Crash)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn row(&mut self, node: NodeId) -> &mut Row {
        self.rows.iter_mut().find(|row| row.id == node).unwrap()
    }

    fn execute(&mut self, action: Action) -> Result<(), Crash> {
        let now = self.now;
        match action {
            Action::EnsureSecrets => self.make(0)?,
            Action::EnsureDatabase => self.make(1)?,
            Action::EnsureStorage => self.make(2)?,
            Action::RemoveSecrets => self.remove(0)?,
            Action::DropDatabase => self.remove(1)?,
            Action::RemoveStorage => self.remove(2)?,
            Action::IntendNode { role, ordinal } => self.intend(role, ordinal)?,
            Action::LaunchNode { node } => self.launch(node)?,
            Action::StartNode { node } => {
                let id = self.row(node).provider_id.clone().unwrap();
                let started = self.runtime.block_on(self.provider.start(&id, &boot()));
                self.effect()?;
                if started.is_ok() {
                    let row = self.row(node);
                    (row.launched_at, row.report) = (Some(now), None);
                    self.effect()?;
                }
            }
            Action::StopNode { node, loss } => {
                let row = self.row(node);
                row.stop_asked_at = Some(now);
                row.loss = row.loss.or(loss);
                row.version += 1;
                self.effect()?;
            }
            Action::TerminateNode { node, loss } => self.terminate(node, loss)?,
            Action::ForgetNode { node, loss } => {
                let row = self.row(node);
                row.loss = row.loss.or(loss);
                (row.state, row.gone_at) = (RowState::Gone, Some(now));
                self.effect()?;
            }
            Action::TerminateOrphan { provider_id } => {
                let _ = self
                    .runtime
                    .block_on(self.provider.terminate(&ProviderId(provider_id)));
                self.effect()?;
            }
            Action::MoveEnvironment { to } => {
                self.assert_may_move(&to);
                let since = self.now;
                self.give(match to {
                    EnvironmentStage::Workers => EnvironmentChange::Workers { since },
                    EnvironmentStage::All => EnvironmentChange::All { since },
                    EnvironmentStage::Settled => EnvironmentChange::Settled,
                    EnvironmentStage::Abandoned(failure) => EnvironmentChange::Abandoned { failure, at: now },
                });
                self.effect()?;
            }
            Action::MarkDeleted => {
                self.deleted = true;
                self.operation = None;
            }
            Action::FinishOperation { outcome } => {
                self.operation = None;
                self.outcome = Some(outcome);
                self.effect()?;
            }
        }
        Ok(())
    }

    fn make(&mut self, which: usize) -> Result<(), Crash> {
        self.resources[which] = Resource::Intended {
            attempts: 1,
            failure: None,
            attempted_at: self.now,
        };
        self.effect()?;
        self.resources[which] = Resource::Ready { since: self.now };
        self.effect()
    }

    fn remove(&mut self, which: usize) -> Result<(), Crash> {
        self.effect()?;
        self.resources[which] = Resource::Absent;
        self.effect()
    }

    fn intend(&mut self, role: NodeRole, ordinal: u32) -> Result<(), Crash> {
        let taken = self
            .rows
            .iter()
            .any(|r| r.state != RowState::Gone && r.role == role && r.ordinal == ordinal);
        assert!(!taken, "the unique index refuses a second node in one place");
        let id = NodeId(Uuid::from_u128(self.next_id));
        self.next_id += 1;
        let request = self
            .provider
            .prepare(&NodeWanted {
                cluster: CLUSTER,
                node: id,
                role,
                ordinal,
            })
            .unwrap();
        self.rows.push(Row {
            id,
            role,
            ordinal,
            generation: self.generation,
            state: RowState::Intended,
            request: request.0,
            provider_id: None,
            created_at: self.now,
            launched_at: None,
            stop_asked_at: None,
            gone_at: None,
            loss: None,
            attempts: 0,
            attempted_at: None,
            failure: None,
            version: 1,
            report: None,
        });
        self.effect()
    }

    fn launch(&mut self, node: NodeId) -> Result<(), Crash> {
        let now = self.now;
        let row = self.row(node);
        row.attempts += 1;
        (row.attempted_at, row.failure) = (Some(now), None);
        let request = LaunchRequest(row.request.clone());
        self.effect()?;
        let answer = self
            .runtime
            .block_on(self.provider.launch(&request, &ClientToken::of(node), &boot()));
        self.effect()?;
        let row = self.row(node);
        match answer {
            Ok(Launched { id, .. }) => {
                row.state = RowState::Launched;
                (row.provider_id, row.launched_at) = (Some(id), Some(now));
            }
            Err(error) => {
                row.failure = Some(LaunchFailure {
                    kind: kind(&error),
                    message: error.to_string(),
                });
            }
        }
        self.effect()
    }

    fn terminate(&mut self, node: NodeId, loss: Option<Loss>) -> Result<(), Crash> {
        let listed = self
            .runtime
            .block_on(self.provider.list(Some(CLUSTER)))
            .unwrap_or_default();
        let row = self.row(node);
        row.loss = row.loss.or(loss);
        row.state = RowState::Terminating;
        let found = listed.into_iter().find(|n| n.node == node).map(|n| n.id);
        row.provider_id = row.provider_id.take().or(found);
        let id = row.provider_id.clone();
        self.effect()?;
        if let Some(id) = id {
            let _ = self.runtime.block_on(self.provider.terminate(&id));
            self.effect()?;
        }
        Ok(())
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

fn boot() -> BootSecret {
    BootSecret(SecretString::from("{}"))
}

fn view(status: NodeStatus) -> ProviderView {
    match status {
        NodeStatus::Pending => ProviderView::Pending,
        NodeStatus::Running => ProviderView::Running,
        NodeStatus::Stopped => ProviderView::Stopped,
        NodeStatus::Ending => ProviderView::Ending,
        NodeStatus::Gone => ProviderView::Gone,
        NodeStatus::Unknown => ProviderView::Unlisted,
    }
}

fn kind(error: &ProviderError) -> LaunchFailureKind {
    match error {
        ProviderError::Quota(_) => LaunchFailureKind::Quota,
        ProviderError::Capacity(_) => LaunchFailureKind::Capacity,
        ProviderError::Throttled => LaunchFailureKind::Throttled,
        ProviderError::Refused(_) => LaunchFailureKind::Refused,
        ProviderError::Unclear(_) => LaunchFailureKind::Unclear,
    }
}
