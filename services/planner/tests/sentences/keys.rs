//! A turn of a cluster's keys, decision by decision.

use updraft_model::{Failure, NodeRole, OperationKind, Phase, Power, StepState};
use updraft_planner::{Action, KeyStage, KeyTurn, Outcome, Reencryption, Resource};

use crate::case::{Case, ago, ready, running, wanted};

fn turning(case: Case, keys: KeyTurn) -> Case {
    let mut case = case.with_operation(OperationKind::RotateKeys);
    case.desired.keys = keys;
    case
}

fn reencrypting() -> KeyTurn {
    KeyTurn::Reencrypting { since: ago(20) }
}

fn turns(case: &Case) -> Vec<KeyStage> {
    let actions = case.actions().into_iter();
    actions
        .filter_map(|action| match action {
            Action::TurnKeys { to } => Some(to),
            _ => None,
        })
        .collect()
}

fn ends(case: &Case) -> Option<Outcome> {
    case.actions().into_iter().find_map(|action| match action {
        Action::FinishOperation { outcome } => Some(outcome),
        _ => None,
    })
}

fn half_made() -> Resource {
    Resource::Intended {
        attempts: 0,
        failure: None,
        refused: false,
        attempted_at: ago(3),
    }
}

fn unread() -> Failure {
    Failure {
        code: "keys_not_rotated".to_owned(),
        message: "A connection does not open.".to_owned(),
        remedy: "Set it anew.".to_owned(),
    }
}

#[test]
fn nodes_end_before_the_keys_are_turned_and_workers_first() {
    let case = turning(running(1), KeyTurn::Draining);
    let worker = case.last();
    assert_eq!(
        case.actions(),
        [Action::StopNode {
            node: worker,
            loss: None
        }]
    );
    assert_eq!(case.plan().phase, Phase::Stopping);
}

#[test]
fn keys_are_turned_when_the_last_node_is_gone_and_none_comes_before() {
    let case = turning(wanted(1), KeyTurn::Draining);
    assert_eq!(case.actions(), [Action::TurnKeys { to: KeyStage::Turned }]);
    let mut case = turning(wanted(1), KeyTurn::Turned);
    case.observed.database = half_made();
    assert_eq!(case.actions(), [Action::EnsureDatabase]);
    case.observed.database = ready();
    assert_eq!(turns(&case), [KeyStage::Reencrypting]);
    assert_eq!(case.actions().len(), 1, "nodes come with the next look");
}

#[test]
fn a_stopped_clusters_database_gets_its_password_too_and_its_operation_ends() {
    let mut case = turning(wanted(1), KeyTurn::Turned).asked(Power::Stopped);
    case.observed.database = half_made();
    assert_eq!(case.actions(), [Action::EnsureDatabase]);
    let case = turning(wanted(1), reencrypting()).asked(Power::Stopped);
    assert_eq!(ends(&case), Some(Outcome::Succeeded));
    assert_eq!(case.plan().phase, Phase::Stopped);
    let steps = case.plan().steps;
    assert!(
        steps.iter().all(|step| step.state == StepState::Done),
        "{steps:?}"
    );
}

#[test]
fn a_cluster_that_never_had_keys_needs_no_others() {
    let mut case = turning(wanted(1), KeyTurn::Draining).asked(Power::Stopped);
    case.observed.secrets = Resource::Absent;
    assert_eq!(turns(&case), [KeyStage::Settled]);
}

#[test]
fn the_old_fernet_key_goes_when_everything_is_written_anew_and_not_before() {
    let mut case = turning(running(1), reencrypting());
    assert!(turns(&case).is_empty() && ends(&case).is_none());
    case.observed.reencryption = Some(Reencryption::Running);
    assert!(turns(&case).is_empty());
    case.observed.reencryption = Some(Reencryption::Done);
    assert_eq!(turns(&case), [KeyStage::Settled]);
    assert_eq!(ends(&case), None, "nodes are to take up their last assignment");
    case.desired.keys = KeyTurn::Settled;
    assert_eq!(ends(&case), Some(Outcome::Succeeded));
}

#[test]
fn what_cannot_be_written_anew_is_read_with_both_keys_and_the_operation_says_so() {
    let mut case = turning(running(1), reencrypting());
    case.observed.reencryption = Some(Reencryption::Failed(unread()));
    assert_eq!(turns(&case), [KeyStage::Both(unread())]);
    case.desired.keys = KeyTurn::Both {
        failure: unread(),
        at: ago(5),
    };
    assert!(turns(&case).is_empty());
    assert_eq!(case.plan().phase, Phase::Running);
    assert_eq!(ends(&case), Some(Outcome::Failed(unread())));
    // Another change is none of it.
    let case = case.with_operation(OperationKind::Update);
    assert_eq!(ends(&case), Some(Outcome::Succeeded));
}

#[test]
fn it_is_tried_again_when_nodes_start_anew() {
    let both = KeyTurn::Both {
        failure: unread(),
        at: ago(5000),
    };
    let case = turning(wanted(1), both);
    assert_eq!(turns(&case), [KeyStage::Reencrypting]);
}

#[test]
fn an_agent_that_does_not_know_how_leaves_a_cluster_that_reads_with_both() {
    let mut case = turning(running(1), KeyTurn::Reencrypting { since: ago(200) });
    assert!(turns(&case).is_empty(), "it may only be slow");
    case.desired.keys = KeyTurn::Reencrypting { since: ago(400) };
    assert!(matches!(turns(&case)[..], [KeyStage::Both(_)]));
    let scheduler = |node: &&mut updraft_planner::Node| node.role == NodeRole::Scheduler;
    let scheduler = case.observed.nodes.iter_mut().find(scheduler).unwrap();
    scheduler.created_at = ago(30);
    assert!(turns(&case).is_empty(), "another node has its time too");
}

#[test]
fn a_database_that_does_not_take_its_password_ends_the_operation_and_is_tried_again() {
    let mut case = turning(wanted(1), KeyTurn::Turned);
    case.observed.database = Resource::Intended {
        attempts: 5,
        failure: Some("no answer in time".to_owned()),
        refused: false,
        attempted_at: ago(3600),
    };
    let Some(Outcome::Failed(failure)) = ends(&case) else {
        panic!("it goes on");
    };
    assert_eq!(failure.code, "database_unavailable");
    assert!(case.actions().contains(&Action::EnsureDatabase));
}

#[test]
fn a_deletion_does_not_wait_for_keys() {
    for keys in [KeyTurn::Draining, KeyTurn::Turned, reencrypting()] {
        let case = turning(wanted(1), keys).asked(Power::Deleted);
        assert!(case.actions().contains(&Action::DropDatabase));
        assert!(turns(&case).is_empty());
    }
}
