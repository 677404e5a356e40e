//! A cluster to decide about, from what it usually is like.

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::{
    AgentPhase, Generation, NodeId, NodeRole, OnStop, OperationKind, Phase, Power, QueueName, ServiceName,
    ServiceState, ServiceStatus, WorkerQueue,
};
use updraft_planner::{
    Action, Desired, EnvironmentChange, Hearing, KeyTurn, Node, NodeState, Observed, Operation, Plan,
    ProviderView, Report, Resource, Switch, plan,
};
use uuid::Uuid;

pub(crate) struct Case {
    pub(crate) desired: Desired,
    pub(crate) observed: Observed,
}

pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(crate) fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

pub(crate) fn ready() -> Resource {
    Resource::Ready { since: ago(9000) }
}

/// Asked to run with so many workers, nothing there but its resources.
pub(crate) fn wanted(workers: u32) -> Case {
    Case {
        desired: Desired {
            power: Power::Running,
            on_stop: OnStop::End,
            generation: Generation(2),
            queues: vec![queue(workers)],
            environment: EnvironmentChange::Settled,
            keys: KeyTurn::Settled,
            operation: None,
            terminate_unrecorded: false,
            brings_database: false,
            scale_in_after: TimeDelta::seconds(300),
        },
        observed: Observed {
            phase: Phase::Stopped,
            secrets: ready(),
            database: ready(),
            storage: ready(),
            network: None,
            build: None,
            reencryption: None,
            hearing: Hearing::Well,
            nodes: Vec::new(),
            losses: Vec::new(),
            load: None,
            sizes: Vec::new(),
            orphans: Vec::new(),
            listing_lag: TimeDelta::seconds(10),
        },
    }
}

pub(crate) fn queue(workers: u32) -> WorkerQueue {
    WorkerQueue {
        name: QueueName::default(),
        instance_type: None,
        concurrency: 2,
        min: workers,
        max: workers,
    }
}

/// The same, running for a while.
pub(crate) fn running(workers: u32) -> Case {
    let mut case = wanted(workers);
    case.observed.phase = Phase::Running;
    let places = [(NodeRole::Scheduler, 1), (NodeRole::Web, 1)].into_iter();
    let nodes = places.chain((1..=workers).map(|ordinal| (NodeRole::Worker, ordinal)));
    case.observed.nodes = nodes.map(|(role, ordinal)| node(role, ordinal)).collect();
    case
}

pub(crate) fn node(role: NodeRole, ordinal: u32) -> Node {
    let role_number = NodeRole::ALL.iter().position(|r| *r == role).unwrap() as u128;
    Node {
        id: NodeId(Uuid::from_u128(role_number * 100 + u128::from(ordinal))),
        role,
        ordinal,
        queue: (role == NodeRole::Worker).then(QueueName::default),
        instance_type: None,
        tasks: None,
        generation: Generation(1),
        state: NodeState::Launched { at: ago(3600) },
        stop_asked_at: None,
        loss: None,
        created_at: ago(3601),
        provider: ProviderView::Running,
        switch: Switch {
            works: true,
            ..Switch::default()
        },
        assignment_version: 3,
        report: Some(report(AgentPhase::Running)),
        silence: TimeDelta::seconds(2),
    }
}

pub(crate) fn report(phase: AgentPhase) -> Report {
    Report {
        phase,
        assignment_version: Some(3),
        generation: None,
        services: Vec::new(),
        script_failure: None,
        metadata_failure: None,
        reclaimed: false,
        steps: Vec::new(),
    }
}

pub(crate) fn service(name: ServiceName, state: ServiceState, restarts: u32) -> ServiceStatus {
    let detail = Some("exit status 1".to_owned());
    ServiceStatus {
        name,
        state,
        pid: None,
        started_at: None,
        restarts,
        detail,
    }
}

// === impl Case ===

impl Case {
    pub(crate) fn plan(&self) -> Plan {
        plan(&self.desired, &self.observed, now())
    }

    pub(crate) fn actions(&self) -> Vec<Action> {
        self.plan().actions
    }

    pub(crate) fn with_operation(mut self, kind: OperationKind) -> Self {
        let operation = Operation {
            kind,
            generation: Generation(2),
            created_at: ago(30),
            steps: Vec::new(),
        };
        self.desired.operation = Some(operation);
        self
    }

    pub(crate) fn asked(mut self, power: Power) -> Self {
        self.desired.power = power;
        self
    }

    /// Changes the last node, a worker.
    pub(crate) fn worker(mut self, change: impl FnOnce(&mut Node)) -> Self {
        change(self.observed.nodes.last_mut().unwrap());
        self
    }

    pub(crate) fn last(&self) -> NodeId {
        self.observed.nodes.last().unwrap().id
    }
}
