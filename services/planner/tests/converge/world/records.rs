//! Control's database: what is recorded of the cluster, and who may write it. Its clock is the one that counts.

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::{
    Generation, NodeId, NodeRole, OnStop, OperationKind, Phase, Power, QueueName, Step, WorkerQueue,
};
use updraft_planner::{
    Desired, EnvironmentChange, KeyTurn, Loss, Operation, Outcome, PlaceHistory, QueueLoad, QueueSize,
    Resource,
};
use updraft_provider::NetworkId;

use super::happening::Quality;
use super::row::{Row, RowState};

/// As the product's; half a dozen ticks and more.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Places among the resources.
pub(crate) const SECRETS: usize = 0;
pub(crate) const DATABASE: usize = 1;
pub(crate) const STORAGE: usize = 2;
pub(crate) const NETWORK: usize = 3;
/// How long a loss counts against its place.
const LOSSES_COUNT_FOR: TimeDelta = TimeDelta::minutes(30);

#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) now: DateTime<Utc>,
    pub(crate) power: Power,
    pub(crate) on_stop: OnStop,
    pub(crate) generation: Generation,
    pub(crate) workers: u32,
    /// A second queue.
    pub(crate) heavy: Option<WorkerQueue>,
    /// Of that queue.
    pub(crate) tasks: u32,
    pub(crate) sizes: Vec<QueueSize>,
    pub(crate) environment: EnvironmentChange,
    pub(crate) wanted_environment: Quality,
    pub(crate) keys: KeyTurn,
    /// Counts what was asked for; tells one turn from the next.
    pub(crate) turns: u32,
    /// What the cluster's keys are: each is the number of its turn.
    pub(crate) safe: Safe,
    pub(crate) operation: Option<RunningOperation>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) phase: Phase,
    pub(crate) resources: [Resource; 4],
    /// As the provider named it.
    pub(crate) network: Option<NetworkId>,
    pub(crate) deleted: bool,
    pub(crate) rows: Vec<Row>,
    fence: u64,
    lease_until: Option<DateTime<Utc>>,
    wake_at: DateTime<Utc>,
    /// Tells one wish for a look from the next within one moment.
    wakes: u64,
}

#[derive(Clone)]
pub(crate) struct RunningOperation {
    /// Its generation tells it from others.
    pub(crate) generation: Generation,
    pub(crate) kind: OperationKind,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) steps: Vec<Step>,
}

/// Keys, each by the number of the turn that made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Safe {
    /// Whether there are any.
    pub(crate) made: bool,
    /// Of nodes: what control has.
    pub(crate) current: u32,
    /// Fernet keys of before that control still has.
    pub(crate) before: Vec<u32>,
    /// What the database's role takes.
    pub(crate) database: u32,
    /// What Airflow's rows are encrypted with.
    pub(crate) encrypted: u32,
}

/// The right to drive the cluster for a while.
#[derive(Clone, Copy)]
pub(crate) struct Lease {
    fence: u64,
    wakes_seen: u64,
}

// === impl Records ===

impl Records {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            power: Power::Stopped,
            on_stop: OnStop::End,
            generation: Generation::FIRST,
            workers: 1,
            heavy: None,
            tasks: 0,
            sizes: Vec::new(),
            environment: EnvironmentChange::Settled,
            wanted_environment: Quality::Good,
            keys: KeyTurn::Settled,
            turns: 0,
            safe: Safe::default(),
            operation: None,
            outcome: None,
            phase: Phase::Stopped,
            resources: [const { Resource::Absent }; 4],
            network: None,
            deleted: false,
            rows: Vec::new(),
            fence: 0,
            lease_until: None,
            wake_at: now,
            wakes: 0,
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        let free = self.lease_until.is_none_or(|until| until < self.now);
        !self.deleted && self.wake_at <= self.now && free
    }

    pub(crate) fn take_due(&mut self) -> Option<Lease> {
        self.is_due().then(|| {
            self.fence += 1;
            self.lease_until = Some(self.now + LEASE);
            Lease {
                fence: self.fence,
                wakes_seen: self.wakes,
            }
        })
    }

    pub(crate) fn is_held(&self, lease: &Lease) -> bool {
        self.fence == lease.fence
    }

    pub(crate) fn renew(&mut self) {
        self.lease_until = Some(self.now + LEASE);
    }

    pub(crate) fn release(&mut self, lease: &Lease, wake_at: DateTime<Utc>) {
        if self.is_held(lease) {
            self.lease_until = None;
            if self.wakes == lease.wakes_seen {
                self.wake_at = wake_at;
            }
        }
    }

    pub(crate) fn wake(&mut self) {
        self.wakes += 1;
        self.wake_at = self.now;
    }

    pub(crate) fn ask(&mut self, kind: OperationKind, power: Power) {
        if self.power == Power::Deleted {
            return;
        }
        self.power = power;
        self.generation = self.generation.next();
        self.operation = Some(RunningOperation {
            generation: self.generation,
            kind,
            created_at: self.now,
            steps: Vec::new(),
        });
        self.wake();
    }

    /// Nodes are given what this stage means for them; newest assignments are versions of their own.
    pub(crate) fn give(&mut self, environment: EnvironmentChange) {
        self.environment = environment;
        self.render_anew();
    }

    pub(crate) fn ask_for_other_keys(&mut self) {
        self.turns += 1;
        self.keys = KeyTurn::Draining;
    }

    /// Whether nodes can open what they are given: their database, and what Airflow keeps there.
    pub(crate) fn nodes_can_read(&self) -> bool {
        let safe = &self.safe;
        let reads = match self.keys {
            KeyTurn::Settled => safe.encrypted == safe.current,
            // Who reads, or writes anew, has all of them.
            KeyTurn::Draining | KeyTurn::Turned | KeyTurn::Reencrypting { .. } | KeyTurn::Both { .. } => {
                safe.encrypted == safe.current || safe.before.contains(&safe.encrypted)
            }
        };
        reads && self.database_opens()
    }

    /// Nobody asks one that is not ready.
    pub(crate) fn database_opens(&self) -> bool {
        !self.resources[DATABASE].is_ready() || self.safe.database == self.safe.current
    }

    /// Every key is of the last turn that was asked for, and control has no other.
    pub(crate) fn has_newest_keys(&self) -> bool {
        let newest = Safe {
            made: true,
            current: self.turns,
            before: Vec::new(),
            database: self.turns,
            encrypted: self.turns,
        };
        self.keys == KeyTurn::Settled && self.safe == newest
    }

    pub(crate) fn render_anew(&mut self) {
        for row in &mut self.rows {
            row.assign_anew();
        }
    }

    pub(crate) fn queues(&self) -> Vec<WorkerQueue> {
        let default = WorkerQueue {
            name: QueueName::default(),
            instance_type: None,
            concurrency: 2,
            min: self.workers,
            max: self.workers,
        };
        [default].into_iter().chain(self.heavy.clone()).collect()
    }

    /// Whether its machine is of the type that its queue asks for by now.
    pub(crate) fn is_of_type_asked(&self, row: &Row) -> bool {
        let queues = self.queues();
        let queue = queues
            .iter()
            .find(|queue| Some(&queue.name) == row.queue.as_ref());
        row.instance_type == queue.and_then(|queue| queue.instance_type.clone())
    }

    /// Workers that the queue needs for the tasks it has.
    pub(crate) fn needed(&self, queue: &WorkerQueue) -> u32 {
        self.tasks.div_ceil(queue.concurrency).clamp(queue.min, queue.max)
    }

    /// What the scheduler's node says of the second queue.
    pub(crate) fn load(&self) -> Option<Vec<QueueLoad>> {
        let is_heard = |row: &Row| row.role == NodeRole::Scheduler && row.report.is_some();
        self.live_rows().any(is_heard).then(|| {
            let load = |queue: &WorkerQueue| QueueLoad {
                queue: queue.name.clone(),
                queued: self.tasks,
                running: 0,
            };
            self.heavy.iter().map(load).collect()
        })
    }

    /// Nodes of a running cluster, by role and queue.
    pub(crate) fn wanted_nodes(&self) -> Vec<(NodeRole, Option<QueueName>)> {
        let single = [(NodeRole::Scheduler, None), (NodeRole::Web, None)];
        let of_queue = |queue: WorkerQueue| {
            let needed = self.needed(&queue);
            (0..needed).map(move |_| (NodeRole::Worker, Some(queue.name.clone())))
        };
        let workers = self.queues().into_iter().flat_map(of_queue);
        single.into_iter().chain(workers).collect()
    }

    /// Launched nodes are told what they are to do once all is on record that it takes.
    pub(crate) fn assign(&mut self) {
        let made = [SECRETS, DATABASE, STORAGE];
        if made.into_iter().all(|which| self.resources[which].is_ready()) {
            let launched = |row: &&mut Row| row.state == RowState::Launched && row.version == 0;
            self.rows
                .iter_mut()
                .filter(launched)
                .for_each(|row| row.version = 1);
        }
    }

    pub(crate) fn row(&mut self, node: NodeId) -> &mut Row {
        self.rows.iter_mut().find(|row| row.id == node).unwrap()
    }

    pub(crate) fn live_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.state != RowState::Gone)
    }

    pub(crate) fn desired(&self) -> Desired {
        Desired {
            power: self.power,
            on_stop: self.on_stop,
            generation: self.generation,
            queues: self.queues(),
            environment: self.environment.clone(),
            keys: self.keys.clone(),
            operation: self.operation.clone().map(|operation| Operation {
                kind: operation.kind,
                generation: operation.generation,
                created_at: operation.created_at,
                steps: operation.steps,
            }),
            terminate_unrecorded: false,
            brings_database: false,
            scale_in_after: TimeDelta::seconds(60),
        }
    }

    pub(crate) fn losses(&self) -> Vec<PlaceHistory> {
        let recent =
            |row: &&Row| row.loss.is_some() && row.gone_at.is_some_and(|at| at > self.now - LOSSES_COUNT_FOR);
        let mut lost: Vec<&Row> = self.rows.iter().filter(recent).collect();
        lost.sort_by_key(|row| row.gone_at);
        let mut places: Vec<PlaceHistory> = Vec::new();
        for row in lost {
            let unheard = row.loss == Some(Loss::NeverReported);
            let at = row.gone_at.unwrap();
            match places
                .iter_mut()
                .find(|h| h.role == row.role && h.ordinal == row.ordinal)
            {
                Some(history) => {
                    history.losses += 1;
                    history.never_reported = if unheard { history.never_reported + 1 } else { 0 };
                    history.last_lost_at = at;
                }
                None => places.push(PlaceHistory {
                    role: row.role,
                    ordinal: row.ordinal,
                    losses: 1,
                    never_reported: u32::from(unheard),
                    late_failures: None,
                    last_lost_at: at,
                }),
            }
        }
        places
    }
}
