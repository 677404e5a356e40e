//! Clusters that stop, and what is removed with them.

use updraft_model::{AgentPhase, Phase, Power};
use updraft_planner::{Action, Resource, limits};

use crate::case::{ago, now, report, running, wanted};

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
