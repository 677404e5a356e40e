//! Clusters that start, and are left alone once they run.

use updraft_model::{NodeRole, OperationKind, Phase, QueueName};
use updraft_planner::{Action, Outcome, ProviderView, Resource, limits};

use crate::case::{now, running, wanted};

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
