//! One decision each.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::{
    AgentPhase, Failure, Generation, NodeId, NodeRole, OperationKind, Phase, Power, QueueName, ServiceName,
    ServiceState, ServiceStatus, Step, StepState, WorkerQueue,
};
use updraft_planner::{
    Action, Desired, EnvironmentChange, LaunchFailure, LaunchFailureKind, Loss, Node, NodeState, Observed,
    Operation, Orphan, Outcome, PlaceHistory, Plan, ProviderView, QueueLoad, QueueSize, Report, Resource,
    limits, plan,
};
use uuid::Uuid;

struct Case {
    desired: Desired,
    observed: Observed,
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

fn ready() -> Resource {
    Resource::Ready { since: ago(9000) }
}

/// Asked to run with so many workers, nothing there but its resources.
fn wanted(workers: u32) -> Case {
    Case {
        desired: Desired {
            power: Power::Running,
            generation: Generation(2),
            queues: vec![queue(workers)],
            environment: EnvironmentChange::Settled,
            operation: None,
            terminate_unrecorded: false,
            scale_in_after: TimeDelta::seconds(300),
        },
        observed: Observed {
            phase: Phase::Stopped,
            secrets: ready(),
            database: ready(),
            storage: ready(),
            network: None,
            build: None,
            nodes: Vec::new(),
            losses: Vec::new(),
            load: None,
            sizes: Vec::new(),
            orphans: Vec::new(),
            listing_lag: TimeDelta::seconds(10),
        },
    }
}

fn queue(workers: u32) -> WorkerQueue {
    WorkerQueue {
        name: QueueName::default(),
        instance_type: None,
        concurrency: 2,
        min: workers,
        max: workers,
    }
}

/// The same, running for a while.
fn running(workers: u32) -> Case {
    let mut case = wanted(workers);
    case.observed.phase = Phase::Running;
    let places = [(NodeRole::Scheduler, 1), (NodeRole::Web, 1)].into_iter();
    let nodes = places.chain((1..=workers).map(|ordinal| (NodeRole::Worker, ordinal)));
    case.observed.nodes = nodes.map(|(role, ordinal)| node(role, ordinal)).collect();
    case
}

fn node(role: NodeRole, ordinal: u32) -> Node {
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
        assignment_version: 3,
        report: Some(report(AgentPhase::Running)),
        silence: TimeDelta::seconds(2),
    }
}

fn report(phase: AgentPhase) -> Report {
    Report {
        phase,
        assignment_version: Some(3),
        generation: None,
        services: Vec::new(),
        script_failure: None,
        reclaimed: false,
        steps: Vec::new(),
    }
}

fn service(name: ServiceName, state: ServiceState, restarts: u32) -> ServiceStatus {
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

impl Case {
    fn plan(&self) -> Plan {
        plan(&self.desired, &self.observed, now())
    }

    fn actions(&self) -> Vec<Action> {
        self.plan().actions
    }

    fn with_operation(mut self, kind: OperationKind) -> Self {
        let operation = Operation {
            kind,
            generation: Generation(2),
            created_at: ago(30),
            steps: Vec::new(),
        };
        self.desired.operation = Some(operation);
        self
    }

    fn asked(mut self, power: Power) -> Self {
        self.desired.power = power;
        self
    }

    /// Changes the last node, a worker.
    fn worker(mut self, change: impl FnOnce(&mut Node)) -> Self {
        change(self.observed.nodes.last_mut().unwrap());
        self
    }

    fn last(&self) -> NodeId {
        self.observed.nodes.last().unwrap().id
    }
}

#[test]
fn a_start_intends_every_role_at_once_beside_database_and_storage() {
    let mut case = wanted(2);
    (case.observed.database, case.observed.storage) = (Resource::Absent, Resource::Absent);
    let actions = case.actions();
    assert_eq!(actions.len(), 6);
    assert!(actions.contains(&Action::EnsureDatabase) && actions.contains(&Action::EnsureStorage));
    assert!(actions.contains(&Action::IntendNode {
        role: NodeRole::Worker,
        ordinal: 2,
        queue: Some(QueueName::default()),
        instance_type: None,
    }));
    let waiting_for = Some("the database".to_owned());
    assert_eq!(case.plan().phase, Phase::Starting { waiting_for });
}

#[test]
fn a_cluster_that_is_as_asked_is_left_alone() {
    let plan = running(2).plan();
    assert_eq!((plan.actions, plan.phase), (vec![], Phase::Running));
    assert_eq!(plan.wake_at, now() + limits::LOOK_STEADY);
}

#[test]
fn what_a_start_waits_for_is_said_in_words() {
    let case = running(2)
        .with_operation(OperationKind::Start)
        .worker(|node| node.report = None);
    let mut case = case;
    case.observed.phase = Phase::Starting { waiting_for: None };
    let waiting_for = Some("worker 2 of 2 to report".to_owned());
    assert_eq!(case.plan().phase, Phase::Starting { waiting_for });
}

#[test]
fn a_node_that_works_on_an_older_assignment_is_not_ready_and_is_not_replaced() {
    let case = running(1)
        .with_operation(OperationKind::Update)
        .worker(|node| node.assignment_version = 4);
    assert_eq!((case.actions(), case.plan().phase), (vec![], Phase::Running));
}

#[test]
fn an_operation_succeeds_when_everything_is_as_asked() {
    let case = running(1).with_operation(OperationKind::Start);
    assert_eq!(
        case.actions(),
        [Action::FinishOperation {
            outcome: Outcome::Succeeded
        }]
    );
}

#[test]
fn a_cluster_whose_nodes_take_notice_of_a_loss_is_degraded_and_not_starting() {
    let mut case = running(1).worker(|node| node.provider = ProviderView::Gone);
    case.observed
        .nodes
        .iter_mut()
        .for_each(|node| node.assignment_version += 1);
    let Phase::Degraded { reasons } = case.plan().phase else {
        panic!("{:?}", case.plan().phase);
    };
    assert!(
        reasons
            .iter()
            .any(|reason| reason == "the worker node to be replaced"),
        "{reasons:?}"
    );
}

#[test]
fn a_vanished_node_is_forgotten_before_its_place_is_filled() {
    let mut case = running(1).worker(|node| node.provider = ProviderView::Gone);
    let node = case.last();
    assert_eq!(
        case.actions(),
        [Action::ForgetNode {
            node,
            loss: Some(Loss::Vanished)
        }]
    );
    assert!(matches!(case.plan().phase, Phase::Degraded { .. }));
    case.observed.nodes.pop();
    assert_eq!(
        case.actions(),
        [Action::IntendNode {
            role: NodeRole::Worker,
            ordinal: 1,
            queue: Some(QueueName::default()),
            instance_type: None,
        }]
    );
}

#[test]
fn a_node_not_listed_yet_is_no_lost_node() {
    let case = running(1).worker(|node| {
        (node.provider, node.state) = (ProviderView::Unlisted, NodeState::Launched { at: ago(5) });
    });
    assert_eq!(case.actions(), []);
}

#[test]
fn nothing_is_concluded_from_a_provider_that_does_not_answer() {
    let mut case = running(2);
    case.observed.nodes.iter_mut().for_each(|node| {
        (node.provider, node.silence) = (ProviderView::Unknown, TimeDelta::hours(1));
    });
    assert_eq!(case.actions(), []);
}

#[test]
fn a_silent_node_is_ended_without_being_asked_what_it_would_not_hear() {
    let silent = |silence| running(1).worker(|node| node.silence = silence);
    assert_eq!(silent(limits::SILENT - TimeDelta::seconds(1)).actions(), []);
    let case = silent(limits::SILENT);
    assert_eq!(
        case.actions(),
        [Action::TerminateNode {
            node: case.last(),
            loss: Some(Loss::Silent)
        }]
    );
}

/// So many of these workers were lost after this, and end.
fn ending(workers: u32, lost: usize, loss: Loss) -> Case {
    let mut case = running(workers);
    for node in case.observed.nodes.iter_mut().skip(2).take(lost) {
        let launched_at = Some(ago(3600));
        (node.state, node.loss) = (NodeState::Terminating { launched_at }, Some(loss));
        node.provider = ProviderView::Ending;
    }
    case
}

fn worker_intended(ordinal: u32) -> Action {
    Action::IntendNode {
        role: NodeRole::Worker,
        ordinal,
        queue: Some(QueueName::default()),
        instance_type: None,
    }
}

#[test]
fn a_lost_worker_is_replaced_while_it_ends() {
    for loss in [Loss::Vanished, Loss::Silent] {
        let mut case = ending(2, 1, loss);
        assert_eq!(case.actions(), [worker_intended(3)]);
        case.observed.nodes.push(node(NodeRole::Worker, 3));
        let plan = case.plan();
        assert_eq!((plan.actions, plan.phase), (vec![], Phase::Running));
        assert_eq!(
            plan.wake_at,
            now() + limits::LOOK_CHANGING,
            "until the lost one is gone"
        );
    }
}

#[test]
fn a_worker_that_never_worked_is_waited_out() {
    assert_eq!(ending(2, 1, Loss::NeverReported).actions(), []);
    let unheard = ending(1, 1, Loss::Vanished).worker(|node| node.report = None);
    assert_eq!(unheard.actions(), []);
}

#[test]
fn no_more_lost_workers_than_a_queue_is_to_have_are_replaced_at_once() {
    let mut case = ending(2, 2, Loss::Vanished);
    assert_eq!(case.actions(), [worker_intended(3), worker_intended(4)]);
    let again = ending(4, 3, Loss::Vanished).observed.nodes;
    case.observed.nodes = again;
    assert_eq!(case.actions(), [], "the third holds its place until it is gone");
}

fn reclaimed(phase: AgentPhase) -> Option<Report> {
    Some(Report {
        reclaimed: true,
        ..report(phase)
    })
}

#[test]
fn a_worker_about_to_be_taken_back_drains_while_another_comes() {
    let mut case = running(1).worker(|node| node.report = reclaimed(AgentPhase::Running));
    let (node, loss) = (case.last(), Some(Loss::Reclaimed));
    assert_eq!(case.actions(), [Action::StopNode { node, loss }]);
    let draining = |node: &mut Node| (node.stop_asked_at, node.loss) = (Some(ago(1)), loss);
    case = case.worker(draining);
    assert_eq!(case.actions(), [worker_intended(2)]);
    case = case.worker(|node| node.report = Some(report(AgentPhase::Stopping)));
    assert_eq!(case.actions(), [worker_intended(2)], "whatever it says now");
    let stopped = case.worker(|node| node.report = Some(report(AgentPhase::Stopped)));
    assert_eq!(
        stopped.actions(),
        [Action::TerminateNode { node, loss }, worker_intended(2)]
    );
}

#[test]
fn only_a_worker_drains_before_it_is_taken_back() {
    let mut case = running(1);
    for node in &mut case.observed.nodes[..2] {
        node.report = reclaimed(AgentPhase::Running);
    }
    assert_eq!(case.actions(), []);
}

#[test]
fn of_two_workers_the_one_that_would_be_taken_back_goes() {
    let mut case = running(2);
    case.desired.queues = vec![queue(1)];
    case.observed.nodes[2].report = reclaimed(AgentPhase::Running);
    let node = case.observed.nodes[2].id;
    assert_eq!(case.actions(), [Action::StopNode { node, loss: None }]);
}

#[test]
fn workers_on_another_kind_of_machine_wait_until_a_lost_one_is_replaced() {
    let mut case = ending(2, 1, Loss::Vanished);
    case.desired.queues[0].instance_type = Some("large".to_owned());
    let stops = |action: &Action| matches!(action, Action::StopNode { .. });
    assert!(!case.actions().iter().any(stops));
}

#[test]
fn when_no_node_is_heard_control_doubts_its_own_ears() {
    let mut case = running(1);
    case.observed
        .nodes
        .iter_mut()
        .for_each(|node| node.silence = limits::SILENT * 2);
    assert_eq!(case.actions(), []);
    case.observed
        .nodes
        .iter_mut()
        .for_each(|node| node.silence = limits::SILENT_ALL);
    assert_eq!(case.actions().len(), 3);
}

#[test]
fn a_stopped_machine_is_started_as_the_same_node() {
    let case = running(1).worker(|node| node.provider = ProviderView::Stopped);
    assert_eq!(case.actions(), [Action::StartNode { node: case.last() }]);
}

#[test]
fn a_stop_lets_workers_drain_before_the_nodes_they_need() {
    let case = running(1).asked(Power::Stopped);
    assert_eq!(
        case.actions(),
        [Action::StopNode {
            node: case.last(),
            loss: None
        }]
    );
    let drained = running(1).asked(Power::Stopped).worker(|node| {
        (node.stop_asked_at, node.report) = (Some(ago(9)), Some(report(AgentPhase::Stopped)));
    });
    let actions = drained.actions();
    assert!(actions.contains(&Action::TerminateNode {
        node: drained.last(),
        loss: None
    }));
    assert_eq!(
        actions
            .iter()
            .filter(|a| matches!(a, Action::StopNode { .. }))
            .count(),
        2
    );
    assert_eq!(drained.plan().phase, Phase::Stopping);
}

#[test]
fn a_draining_worker_is_given_its_time() {
    let draining = |power, asked| {
        running(1).asked(power).worker(|node| {
            (node.stop_asked_at, node.report) = (Some(asked), Some(report(AgentPhase::Stopping)));
        })
    };
    assert_eq!(draining(Power::Stopped, ago(3600)).actions(), []);
    assert_eq!(draining(Power::Stopped, now() - limits::DRAIN).actions().len(), 1);
    assert_eq!(
        draining(Power::Deleted, ago(59)).actions(),
        [],
        "it would hang without its broker"
    );
    assert_eq!(draining(Power::Deleted, ago(60)).actions().len(), 1);
}

/// A queue of up to three workers that is to have so many now, each with the tasks that run on it.
fn scaling_to(count: u32, tasks: [u32; 3]) -> Case {
    let mut case = running(3);
    case.desired.queues[0].min = 0;
    case.observed.sizes = vec![QueueSize {
        queue: QueueName::default(),
        count,
        fewer: None,
    }];
    let workers = case
        .observed
        .nodes
        .iter_mut()
        .filter(|node| node.role == NodeRole::Worker);
    for (worker, tasks) in workers.zip(tasks) {
        worker.tasks = Some(tasks);
    }
    let load = QueueLoad {
        queue: QueueName::default(),
        queued: 0,
        running: 2 * count,
    };
    case.observed.load = Some(vec![load]);
    case
}

#[test]
fn the_worker_with_the_fewest_tasks_goes_first() {
    let drains = |case: &Case| {
        let stop = |ordinal| Action::StopNode {
            node: node(NodeRole::Worker, ordinal).id,
            loss: None,
        };
        let actions = case.actions();
        (1..=3)
            .filter(|ordinal| actions.contains(&stop(*ordinal)))
            .collect::<Vec<_>>()
    };
    assert_eq!(drains(&scaling_to(2, [1, 0, 2])), [2]);
    assert_eq!(drains(&scaling_to(1, [1, 0, 2])), [1, 2]);
    assert_eq!(drains(&scaling_to(3, [0, 0, 0])), Vec::<u32>::new());
}

#[test]
fn a_burst_does_not_wait_for_who_drains() {
    let mut case = scaling_to(3, [1, 1, 1]);
    case.observed.nodes[3].stop_asked_at = Some(ago(60));
    assert!(case.actions().contains(&Action::IntendNode {
        role: NodeRole::Worker,
        ordinal: 4,
        queue: Some(QueueName::default()),
        instance_type: None,
    }));
    assert_eq!(
        case.plan().phase,
        Phase::Running,
        "a worker on its way is no degradation"
    );
}

#[test]
fn scaling_in_takes_the_highest_workers() {
    let mut case = running(3);
    case.desired.queues = vec![queue(1)];
    let highest: Vec<_> = case.observed.nodes[3..].iter().map(|node| node.id).collect();
    let stops: Vec<_> = highest
        .iter()
        .map(|node| Action::StopNode {
            node: *node,
            loss: None,
        })
        .collect();
    assert_eq!(case.actions(), stops);
}

#[test]
fn a_stopped_cluster_keeps_its_database_and_a_deleted_one_does_not() {
    let empty = wanted(1).asked(Power::Stopped);
    assert_eq!((empty.actions(), empty.plan().phase), (vec![], Phase::Stopped));
    let mut deleted = wanted(1).asked(Power::Deleted);
    assert_eq!(deleted.actions(), [Action::DropDatabase, Action::RemoveStorage]);
    (deleted.observed.database, deleted.observed.storage) = (Resource::Absent, Resource::Absent);
    assert_eq!(deleted.actions(), [Action::RemoveSecrets]);
    deleted.observed.secrets = Resource::Absent;
    assert_eq!(deleted.actions(), [Action::MarkDeleted]);
}

#[test]
fn nothing_of_a_deleted_cluster_is_removed_while_a_node_may_use_it() {
    let case = running(1).asked(Power::Deleted);
    assert!(
        case.actions()
            .iter()
            .all(|action| matches!(action, Action::StopNode { .. }))
    );
}

fn failed_launch(kind: LaunchFailureKind, attempts: u32, seconds: i64) -> Case {
    let mut case = running(1).with_operation(OperationKind::Start).worker(|node| {
        let failure = Some(LaunchFailure {
            kind,
            message: "8 of 8".to_owned(),
        });
        node.state = NodeState::Intended {
            attempts,
            attempted_at: Some(ago(seconds)),
            failure,
        };
        (node.provider, node.report) = (ProviderView::Unlisted, None);
    });
    case.observed.phase = Phase::Starting { waiting_for: None };
    case
}

#[test]
fn a_failed_launch_is_tried_again_after_a_pause_with_the_same_request() {
    assert_eq!(failed_launch(LaunchFailureKind::Capacity, 3, 2).actions(), []);
    let due = failed_launch(LaunchFailureKind::Capacity, 3, 4);
    assert_eq!(due.actions(), [Action::LaunchNode { node: due.last() }]);
}

#[test]
fn a_launch_that_goes_on_failing_fails_the_start_with_a_remedy() {
    let plan = failed_launch(LaunchFailureKind::Quota, 2, 1).plan();
    let Phase::Failed { reason } = plan.phase else {
        panic!("{:?}", plan.phase)
    };
    assert_eq!(reason.code, "node_launch_failed");
    assert!(reason.message.contains("worker-1") && reason.message.contains("8 of 8"));
    assert!(plan.actions.iter().any(|a| matches!(
        a,
        Action::FinishOperation {
            outcome: Outcome::Failed(_)
        }
    )));
}

#[test]
fn an_unclear_launch_of_an_unwanted_node_is_waited_out() {
    let unclear = |seconds| {
        let mut case = failed_launch(LaunchFailureKind::Unclear, 1, seconds);
        case.desired.power = Power::Stopped;
        case.observed.nodes.drain(..2);
        case.actions()
    };
    assert_eq!(unclear(9), []);
    assert!(matches!(unclear(11)[..], [Action::ForgetNode { .. }]));
}

#[test]
fn a_refused_launch_of_an_unwanted_node_is_forgotten_at_once_only_if_it_was_the_first() {
    let throttled = |attempts, seconds| {
        let mut case = failed_launch(LaunchFailureKind::Throttled, attempts, seconds);
        case.desired.power = Power::Stopped;
        case.observed.nodes.drain(..2);
        case.actions()
    };
    assert!(matches!(throttled(1, 1)[..], [Action::ForgetNode { .. }]));
    // An earlier attempt may have had no clear answer: its node may still turn up.
    assert_eq!(throttled(2, 9), []);
    assert!(matches!(throttled(2, 11)[..], [Action::ForgetNode { .. }]));
}

fn failing_service(name: ServiceName) -> Case {
    running(1).with_operation(OperationKind::Start).worker(|node| {
        let services = vec![service(name, ServiceState::BackingOff, 3)];
        node.report = Some(Report {
            services,
            ..report(AgentPhase::Degraded)
        });
    })
}

#[test]
fn a_service_that_cannot_start_fails_a_start_and_degrades_what_ran() {
    let mut case = failing_service(ServiceName::Worker);
    assert!(matches!(case.plan().phase, Phase::Degraded { .. }));
    case.observed.phase = Phase::Starting { waiting_for: None };
    let Phase::Failed {
        reason: Failure { code, message, .. },
    } = case.plan().phase
    else {
        panic!()
    };
    assert_eq!(
        (code.as_str(), message.as_str()),
        (
            "service_cannot_start",
            "worker cannot start on worker-1: exit status 1"
        )
    );
}

#[test]
fn a_cluster_runs_without_flower_and_says_so() {
    let mut case = failing_service(ServiceName::Flower);
    case.observed.phase = Phase::Starting { waiting_for: None };
    let plan = case.plan();
    assert!(matches!(plan.phase, Phase::Degraded { .. }));
    assert_eq!(
        plan.actions,
        [Action::FinishOperation {
            outcome: Outcome::Succeeded
        }]
    );
}

#[test]
fn an_unavailable_database_fails_the_start_after_some_attempts() {
    let mut case = wanted(0).with_operation(OperationKind::Start);
    let failure = Some("connection refused".to_owned());
    case.observed.database = Resource::Intended {
        attempts: 5,
        refused: false,
        failure,
        attempted_at: ago(1),
    };
    let Phase::Failed { reason } = case.plan().phase else {
        panic!()
    };
    assert_eq!(reason.code, "database_unavailable");
    assert!(
        !case.actions().contains(&Action::EnsureDatabase),
        "it is tried again after a pause"
    );
}

#[test]
fn nodes_that_never_report_are_replaced_ever_more_slowly_and_fail_the_start() {
    let silent = running(1).with_operation(OperationKind::Start).worker(|node| {
        (node.report, node.silence) = (None, limits::FIRST_REPORT);
    });
    let node = silent.last();
    assert!(silent.actions().contains(&Action::TerminateNode {
        node,
        loss: Some(Loss::NeverReported)
    }));
    let mut again = wanted(0).with_operation(OperationKind::Start);
    let history = PlaceHistory {
        role: NodeRole::Web,
        ordinal: 1,
        losses: 2,
        never_reported: 2,
        last_lost_at: ago(5),
    };
    again.observed.losses = vec![history];
    assert!(!again.actions().contains(&Action::IntendNode {
        role: NodeRole::Web,
        ordinal: 1,
        queue: None,
        instance_type: None,
    }));
    let Phase::Failed { reason } = again.plan().phase else {
        panic!()
    };
    assert_eq!(reason.code, "node_never_reported");
}

#[test]
fn an_orphan_is_ended_unless_no_record_ever_named_it() {
    let mut case = running(0);
    let orphan = |id: &str, recorded| Orphan {
        provider_id: id.to_owned(),
        recorded,
    };
    case.observed.orphans = vec![orphan("known", true), orphan("unknown", false)];
    assert_eq!(
        case.actions(),
        [Action::TerminateOrphan {
            provider_id: "known".to_owned()
        }]
    );
    case.desired.terminate_unrecorded = true;
    assert_eq!(case.actions().len(), 2);
}

#[test]
fn a_timeline_keeps_its_times_and_believes_agents_about_their_own_node_only() {
    let foreign = Step {
        id: "broker".to_owned(),
        title: "Start broker".to_owned(),
        node: Some(NodeId(Uuid::nil())),
        node_label: Some("web-9".to_owned()),
        state: StepState::Done,
        started_at: Some(ago(20)),
        finished_at: Some(now() + TimeDelta::hours(1)),
        detail: None,
    };
    let mut case = running(1).with_operation(OperationKind::Start).worker(|node| {
        (node.created_at, node.state) = (ago(28), NodeState::Launched { at: ago(27) });
        node.report = Some(Report {
            steps: vec![foreign],
            ..report(AgentPhase::Starting)
        });
    });
    let steps = case.plan().steps;
    let step = |steps: &[Step], id: &str| steps.iter().find(|step| step.id == id).unwrap().clone();
    let broker = step(&steps, "worker-1/broker");
    assert_eq!(
        (broker.node, broker.node_label.as_deref()),
        (Some(case.last()), Some("worker-1"))
    );
    assert_eq!(
        (broker.started_at, broker.finished_at),
        (Some(ago(20)), Some(now()))
    );
    let launch = step(&steps, "worker-1/launch");
    assert_eq!(
        (launch.started_at, launch.finished_at),
        (Some(ago(28)), Some(ago(27)))
    );
    assert!(
        !steps.iter().any(|step| step.id == "scheduler-1/launch"),
        "it was there before"
    );
    assert_eq!(step(&steps, "worker-1/ready").state, StepState::Running);

    case.desired.operation.as_mut().unwrap().steps = steps;
    let later = plan(&case.desired, &case.observed, now() + TimeDelta::seconds(60)).steps;
    assert_eq!(step(&later, "worker-1/broker"), broker);
    assert_eq!(step(&later, "worker-1/ready").started_at, Some(now()));
}

#[test]
fn an_operations_end_is_shown_for_nodes_that_are_gone_meanwhile() {
    let stopping = running(1)
        .with_operation(OperationKind::Stop)
        .asked(Power::Stopped);
    let steps = stopping.plan().steps;
    assert_eq!(steps.len(), 6);
    let mut stopped = stopping;
    stopped.observed.nodes.clear();
    stopped.desired.operation.as_mut().unwrap().steps = steps;
    let steps = stopped.plan().steps;
    assert!(steps.len() == 6 && steps.iter().all(|step| step.state == StepState::Done));
}

/// The start of a stopped cluster, whose network is like this.
fn starting_in(network: Resource) -> Case {
    let mut case = wanted(1).with_operation(OperationKind::Start);
    case.observed.network = Some(network);
    case
}

fn refused_network(seconds: i64) -> Resource {
    Resource::Intended {
        attempts: 1,
        failure: Some("subnets: there is no way to S3".to_owned()),
        refused: true,
        attempted_at: ago(seconds),
    }
}

#[test]
fn a_start_looks_at_the_network_before_it_wants_a_node() {
    for network in [Resource::Absent, ready()] {
        let plan = starting_in(network).plan();
        assert_eq!(plan.actions, [Action::EnsureNetwork]);
    }
    let plan = starting_in(Resource::Ready { since: ago(5) }).plan();
    assert!(
        plan.actions
            .iter()
            .all(|action| matches!(action, Action::IntendNode { .. })),
        "{plan:?}"
    );
    assert_eq!(plan.actions.len(), 3);
}

#[test]
fn nodes_that_are_there_show_that_the_network_stands() {
    let mut case = running(1).with_operation(OperationKind::Restart);
    case.observed.network = Some(ready());
    case.observed.nodes.pop();
    let plan = case.plan();
    assert!(
        matches!(plan.actions[..], [Action::IntendNode { .. }]),
        "{plan:?}"
    );
}

#[test]
fn a_network_that_is_refused_ends_the_start_at_once() {
    let plan = starting_in(refused_network(0)).plan();
    let Phase::Failed { reason } = &plan.phase else {
        panic!("{plan:?}");
    };
    assert_eq!(reason.code, "network_unavailable");
    assert!(reason.message.contains("no way to S3"), "{reason:?}");
    let failed = Outcome::Failed(reason.clone());
    assert_eq!(plan.actions, [Action::FinishOperation { outcome: failed }]);
}

#[test]
fn what_an_earlier_start_was_told_is_asked_anew() {
    let plan = starting_in(refused_network(60)).plan();
    assert_eq!(plan.actions, [Action::EnsureNetwork]);
    assert!(matches!(plan.phase, Phase::Starting { .. }), "{plan:?}");
}
