//! Queues that are to have fewer or more workers.

use updraft_model::{AgentPhase, NodeRole, OperationKind, Phase, QueueName};
use updraft_planner::{Action, Outcome, QueueLoad, QueueSize, limits};

use crate::case::{Case, ago, node, now, queue, report, running};

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

/// One worker works; another, that is too many or on another kind of machine, has drained since then.
fn draining(since: i64) -> Case {
    let mut case = running(2).worker(|node| {
        (node.stop_asked_at, node.report) = (Some(ago(since)), Some(report(AgentPhase::Stopping)));
    });
    case.desired.queues = vec![queue(1)];
    case
}

#[test]
fn a_queue_of_a_fixed_size_does_not_wait_for_who_drains_either() {
    let mut case = draining(60);
    case.desired.queues = vec![queue(2)];
    let another = Action::IntendNode {
        role: NodeRole::Worker,
        ordinal: 3,
        queue: Some(QueueName::default()),
        instance_type: None,
    };
    assert_eq!(case.actions(), [another]);
}

#[test]
fn workers_on_another_kind_of_machine_go_one_by_one_and_none_waits_for_their_tasks() {
    let mut case = running(2);
    case.desired.queues[0].instance_type = Some("large".to_owned());
    let [_, _, first, second] = [0, 1, 2, 3].map(|index| case.observed.nodes[index].id);
    let stop = |node| Action::StopNode { node, loss: None };
    let another = |ordinal| Action::IntendNode {
        role: NodeRole::Worker,
        ordinal,
        queue: Some(QueueName::default()),
        instance_type: Some("large".to_owned()),
    };
    assert_eq!(case.actions(), [stop(second), another(3)]);
    let mut case = case.worker(|node| {
        (node.stop_asked_at, node.report) = (Some(ago(60)), Some(report(AgentPhase::Stopping)));
    });
    let mut third = node(NodeRole::Worker, 3);
    (third.instance_type, third.report) = (Some("large".to_owned()), None);
    case.observed.nodes.push(third);
    assert_eq!(case.actions(), [], "the next waits until the new one works");
    case.observed.nodes[4].report = Some(report(AgentPhase::Running));
    assert_eq!(case.actions(), [stop(first), another(4)]);
}

#[test]
fn tasks_of_a_worker_that_leaves_have_a_day() {
    let a_day = limits::TASKS.num_seconds();
    assert_eq!(draining(a_day).actions(), [], "its agent ends them");
    assert!(limits::TASKS < limits::DRAIN);
    let node = draining(0).last();
    let ended = [Action::TerminateNode { node, loss: None }];
    assert_eq!(draining(limits::DRAIN.num_seconds()).actions(), ended);
}

#[test]
fn a_worker_that_has_no_task_left_and_does_not_end_is_ended() {
    let limit = limits::DRAIN_WITHOUT_TASKS.num_seconds();
    let with = |tasks| draining(limit).worker(|node| node.tasks = tasks).actions();
    assert_eq!((with(Some(1)), with(None)), (vec![], vec![]));
    assert_eq!(with(Some(0)).len(), 1);
    assert_eq!(
        draining(limit - 1).worker(|node| node.tasks = Some(0)).actions(),
        []
    );
}

#[test]
fn an_operation_does_not_wait_for_tasks_for_hours() {
    let change = |age: i64| {
        let mut case = draining(age).with_operation(OperationKind::Update);
        case.desired.operation.as_mut().unwrap().created_at = ago(age);
        case
    };
    let limit = limits::OPERATION_FOR_DRAIN.num_seconds();
    assert_eq!(change(limit - 1).actions(), []);
    let outcome = Outcome::Succeeded;
    assert_eq!(change(limit).actions(), [Action::FinishOperation { outcome }]);
    let stuck = change(limit).worker(|node| node.silence = limits::QUIET);
    assert_eq!(stuck.actions(), [], "nobody knows whether it is at it");
}

#[test]
fn a_cluster_whose_workers_drain_for_hours_is_not_looked_at_each_second() {
    let case = draining(3600);
    assert_eq!(case.plan().phase, Phase::Running);
    assert_eq!(case.plan().wake_at, now() + limits::LOOK_DRAINING);
}
