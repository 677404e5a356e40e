//! Queues that are to have fewer or more workers.

use updraft_model::{NodeRole, Phase, QueueName};
use updraft_planner::{Action, QueueLoad, QueueSize};

use crate::case::{Case, ago, node, queue, running};

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
