use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use updraft_api::agent::{Assignment, HealthCheck, NodePower, ServiceAssignment, StopPolicy};
use updraft_model::{AgentPhase, ClusterId, Generation, NodeId, NodeRole, ServiceName, ServiceState};

use super::{Action, Attempts, Because, Health, Observed, Plan, Process, Readiness, plan};

const READY: Readiness = Readiness {
    files: true,
    environment: true,
    parent: true,
    script: true,
    metadata: true,
};

fn service(name: ServiceName, after: &[ServiceName]) -> ServiceAssignment {
    ServiceAssignment {
        name,
        argv: vec!["run".to_owned()],
        env: BTreeMap::new(),
        secrets: Vec::new(),
        prefork: name != ServiceName::Broker,
        after_script: false,
        after_metadata: false,
        after: after.to_vec(),
        health: HealthCheck::HttpStatus {
            url: "http://127.64.0.1:1/".to_owned(),
        },
        warm: Vec::new(),
        interval_s: 5,
        start_within_s: 60,
        ports: Vec::new(),
        stop: StopPolicy {
            signal: "TERM".to_owned(),
            grace_s: 30,
        },
        restart_nonce: 0,
        enabled: true,
        digest: "1".to_owned(),
    }
}

fn node() -> Assignment {
    serde_json::from_value(serde_json::json!({
        "version": 1, "cluster": 1, "node": NodeId(Default::default()), "role": "scheduler", "generation": 1,
        "power": "run", "environment_dir": "/e", "parent": {"env": {}, "directories": [], "files": []}, "services": [], "files": [], "relays": [],
        "dags": { "endpoint": "", "bucket": "", "sources": [], "versions_prefix": "", "access_key": "",
                  "secret_key": "", "resolver": false },
    }))
    .map(|assignment: Assignment| Assignment {
        cluster: ClusterId(1),
        role: NodeRole::Scheduler,
        generation: Generation(1),
        services: vec![
            service(ServiceName::Broker, &[]),
            service(ServiceName::Scheduler, &[ServiceName::Broker]),
            service(ServiceName::Triggerer, &[]),
        ],
        ..assignment
    })
    .unwrap()
}

struct World {
    assignment: Assignment,
    power: NodePower,
    observed: BTreeMap<ServiceName, Observed>,
    readiness: Readiness,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self {
            assignment: node(),
            power: NodePower::Run,
            observed: BTreeMap::new(),
            readiness: READY,
            now: Instant::now(),
        }
    }

    fn with(mut self, name: ServiceName, process: Process) -> Self {
        let assignment = self
            .assignment
            .services
            .iter()
            .find(|service| service.name == name)
            .unwrap()
            .clone();
        self.observed.insert(
            name,
            Observed {
                assignment,
                process,
                attempts: Attempts::default(),
                held_until: None,
            },
        );
        self
    }

    fn running(self, name: ServiceName, health: Health) -> Self {
        let started = self.now;
        self.with(
            name,
            Process::Running {
                started,
                digest: "1".to_owned(),
                restart_nonce: 0,
                health,
            },
        )
    }

    fn all_healthy() -> Self {
        [
            ServiceName::Broker,
            ServiceName::Scheduler,
            ServiceName::Triggerer,
        ]
        .into_iter()
        .fold(Self::new(), |world, name| world.running(name, Health::Healthy))
    }

    fn plan(&self) -> Plan {
        plan(
            &self.assignment,
            self.power,
            &self.observed,
            self.readiness,
            self.now,
        )
    }
}

#[test]
fn everything_that_waits_for_nothing_starts_at_once() {
    let plan = World::new().plan();
    assert_eq!(
        plan.actions,
        [
            Action::Start(ServiceName::Broker),
            Action::Start(ServiceName::Triggerer)
        ]
    );
    assert_eq!(plan.states[&ServiceName::Scheduler], ServiceState::Waiting);
    assert_eq!(plan.phase, AgentPhase::Starting);
}

#[test]
fn what_needs_the_tenants_database_waits_until_it_was_found_good() {
    let mut world = World::new();
    world.readiness.metadata = false;
    for service in &mut world.assignment.services {
        service.after_metadata = service.name != ServiceName::Broker;
    }
    let plan = world.plan();
    assert_eq!(plan.actions, [Action::Start(ServiceName::Broker)]);
    assert_eq!(plan.phase, AgentPhase::Preparing);
    world.readiness.metadata = true;
    assert!(
        world
            .plan()
            .actions
            .contains(&Action::Start(ServiceName::Triggerer))
    );
}

#[test]
fn a_broker_needs_no_parent() {
    let mut world = World::new();
    world.readiness.parent = false;
    assert_eq!(world.plan().actions, [Action::Start(ServiceName::Broker)]);
}

#[test]
fn after_means_healthy() {
    let world = World::new().running(ServiceName::Broker, Health::Unproven);
    assert!(
        !world
            .plan()
            .actions
            .contains(&Action::Start(ServiceName::Scheduler))
    );
    let world = World::new().running(ServiceName::Broker, Health::Healthy);
    assert!(
        world
            .plan()
            .actions
            .contains(&Action::Start(ServiceName::Scheduler))
    );
}

#[test]
fn a_node_runs_when_every_service_is_healthy() {
    let plan = World::all_healthy().plan();
    assert_eq!(
        (plan.phase, plan.actions.len(), plan.wake_at),
        (AgentPhase::Running, 0, None)
    );
}

#[test]
fn stopping_begins_with_what_nothing_needs() {
    let mut world = World::all_healthy();
    world.power = NodePower::Stop;
    let plan = world.plan();
    assert_eq!(
        plan.actions,
        [
            Action::Stop(ServiceName::Scheduler, Because::Unwanted),
            Action::Stop(ServiceName::Triggerer, Because::Unwanted)
        ]
    );
    assert_eq!(plan.phase, AgentPhase::Stopping);
    let world = world.with(ServiceName::Scheduler, Process::None);
    assert!(
        world
            .plan()
            .actions
            .contains(&Action::Stop(ServiceName::Broker, Because::Unwanted))
    );
}

#[test]
fn a_node_is_stopped_when_every_service_has_ended() {
    let mut world = World::new();
    world.power = NodePower::Stop;
    assert_eq!(world.plan().phase, AgentPhase::Stopped);
}

#[test]
fn grace_ends_in_a_kill_that_is_sent_once() {
    let mut world = World::new();
    let since = world.now;
    let stopping = |killed| Process::Stopping {
        since,
        because: Because::Changed,
        killed,
    };
    world = world.with(ServiceName::Broker, stopping(false));
    assert_eq!(world.plan().wake_at, Some(since + Duration::from_secs(30)));
    world.now = since + Duration::from_secs(30);
    assert!(world.plan().actions.contains(&Action::Kill(ServiceName::Broker)));
    world = world.with(ServiceName::Broker, stopping(true));
    assert!(!world.plan().actions.contains(&Action::Kill(ServiceName::Broker)));
}

#[test]
fn a_restart_is_asked_for_by_nonce_or_digest() {
    let mut world = World::all_healthy();
    world.assignment.services[0].restart_nonce = 1;
    world.assignment.services[2].digest = "2".to_owned();
    assert_eq!(
        world.plan().actions,
        [
            Action::Stop(ServiceName::Broker, Because::Changed),
            Action::Stop(ServiceName::Triggerer, Because::Changed)
        ]
    );
}

#[test]
fn what_is_to_change_runs_on_until_its_environment_is_there() {
    let mut world = World::all_healthy();
    world.readiness.environment = false;
    assert_eq!(world.plan().phase, AgentPhase::Running, "nothing is to change");
    world.assignment.services[2].digest = "2".to_owned();
    let waiting = world.plan();
    assert_eq!((waiting.actions, waiting.phase), (vec![], AgentPhase::Preparing));
    world.readiness.environment = true;
    assert_eq!(
        world.plan().actions,
        [Action::Stop(ServiceName::Triggerer, Because::Changed)]
    );
}

#[test]
fn disabling_stops_one_service_and_the_rest_is_still_running() {
    let mut world = World::all_healthy();
    world.assignment.services[2].enabled = false;
    assert_eq!(
        world.plan().actions,
        [Action::Stop(ServiceName::Triggerer, Because::Unwanted)]
    );
    world = world.with(ServiceName::Triggerer, Process::None);
    assert_eq!(world.plan().phase, AgentPhase::Running);
}

#[test]
fn what_is_no_longer_assigned_is_stopped_and_forgotten() {
    let mut world = World::all_healthy();
    world.assignment.services.pop();
    assert_eq!(
        world.plan().actions,
        [Action::Stop(ServiceName::Triggerer, Because::Unwanted)]
    );
    world.observed.get_mut(&ServiceName::Triggerer).unwrap().process = Process::None;
    assert!(!world.plan().states.contains_key(&ServiceName::Triggerer));
}

#[test]
fn failures_wait_longer_and_longer_but_never_above_a_minute() {
    let now = Instant::now();
    let mut attempts = Attempts::default();
    let pauses: Vec<u128> = (0..12)
        .map(|_| {
            attempts = attempts.after_failure(None, now);
            attempts.pause().as_millis()
        })
        .collect();
    assert_eq!(
        pauses,
        [
            200, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000, 60000, 60000
        ]
    );
    let recovered = attempts.after_failure(Some(Duration::from_secs(61)), now);
    assert_eq!(recovered.pause().as_millis(), 200);
}

#[test]
fn a_failed_service_backs_off_then_starts() {
    let mut world = World::all_healthy().with(ServiceName::Triggerer, Process::None);
    let failed = Attempts::default().after_failure(Some(Duration::ZERO), world.now);
    world.observed.get_mut(&ServiceName::Triggerer).unwrap().attempts = failed;
    let plan = world.plan();
    assert_eq!(plan.states[&ServiceName::Triggerer], ServiceState::BackingOff);
    assert_eq!(
        (plan.phase, plan.wake_at),
        (AgentPhase::Degraded, Some(world.now + Duration::from_millis(200)))
    );
    world.now += Duration::from_millis(200);
    assert_eq!(world.plan().actions, [Action::Start(ServiceName::Triggerer)]);
}

#[test]
fn a_start_that_takes_too_long_has_failed() {
    let mut world = World::new().running(ServiceName::Broker, Health::Unproven);
    world.now += Duration::from_secs(60);
    assert!(
        world
            .plan()
            .actions
            .contains(&Action::Stop(ServiceName::Broker, Because::FailedToStart))
    );
}

#[test]
fn health_that_cannot_be_asked_never_restarts_a_service() {
    let mut world = World::all_healthy();
    let since = world.now;
    world = world.running(ServiceName::Triggerer, Health::Unknown { since });
    assert_eq!(
        world.plan().states[&ServiceName::Triggerer],
        ServiceState::Healthy
    );
    world.now += Duration::from_secs(3600);
    let plan = world.plan();
    assert_eq!(plan.states[&ServiceName::Triggerer], ServiceState::Unhealthy);
    assert_eq!((plan.actions.len(), plan.phase), (0, AgentPhase::Degraded));
}

#[test]
fn lasting_bad_health_restarts_a_service() {
    let mut world = World::all_healthy();
    let since = world.now;
    world = world.running(ServiceName::Scheduler, Health::Failing { since });
    assert_eq!(
        world.plan().states[&ServiceName::Scheduler],
        ServiceState::Unhealthy
    );
    world.now += Duration::from_secs(120);
    assert_eq!(
        world.plan().actions,
        [Action::Stop(ServiceName::Scheduler, Because::Unhealthy)]
    );
}

#[test]
fn what_other_nodes_are_connected_to_stops_when_they_let_go_or_after_a_while() {
    let mut world = World::all_healthy();
    world.power = NodePower::Stop;
    let until = world.now + super::HOLD;
    world
        .observed
        .get_mut(&ServiceName::Triggerer)
        .unwrap()
        .held_until = Some(until);
    let plan = world.plan();
    assert_eq!(
        plan.actions,
        [Action::Stop(ServiceName::Scheduler, Because::Unwanted)]
    );
    assert!(plan.wake_at.is_some_and(|at| at < until));
    world.now = until;
    assert!(
        world
            .plan()
            .actions
            .contains(&Action::Stop(ServiceName::Triggerer, Because::Unwanted))
    );
    world.power = NodePower::Run;
    world.assignment.services[2].enabled = false;
    world.now = until - super::HOLD;
    assert!(
        world
            .plan()
            .actions
            .contains(&Action::Stop(ServiceName::Triggerer, Because::Unwanted))
    );
}
