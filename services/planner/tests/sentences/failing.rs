//! Launches, services and databases that fail.

use updraft_model::{
    AgentPhase, Failure, NOT_ON_THIS_NODE, NodeRole, OperationKind, Phase, Power, ServiceName, ServiceState,
};
use updraft_planner::{
    Action, LaunchFailure, LaunchFailureKind, Loss, NodeState, Outcome, PlaceHistory, ProviderView, Report,
    Resource, limits,
};

use crate::case::{Case, ago, report, running, service, wanted};

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
fn a_broker_that_no_node_has_fails_a_start_with_what_to_do() {
    let mut case = failing_service(ServiceName::Broker);
    case = case.worker(|node| {
        let report = node.report.as_mut().unwrap();
        report.services[0].detail = Some(format!("`/usr/lib/rabbitmq-server` {NOT_ON_THIS_NODE}"));
    });
    case.observed.phase = Phase::Starting { waiting_for: None };
    let Phase::Failed { reason } = case.plan().phase else {
        panic!()
    };
    assert_eq!(reason.code, "broker_not_installed");
    assert!(reason.remedy.contains("rabbitmq-server"), "{}", reason.remedy);
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
fn a_brought_database_that_a_node_refuses_fails_the_start_with_what_to_do() {
    let mut case = running(1).with_operation(OperationKind::Start).worker(|node| {
        let failure = Failure {
            code: "metadata_database_refused".to_owned(),
            message: "It is in use.".to_owned(),
            remedy: "Use another.".to_owned(),
        };
        node.report = Some(Report {
            metadata_failure: Some(failure),
            ..report(AgentPhase::Preparing)
        });
    });
    case.observed.phase = Phase::Starting { waiting_for: None };
    let plan = case.plan();
    let Phase::Failed { reason } = plan.phase else {
        panic!("{:?}", plan.phase)
    };
    assert_eq!(reason.code, "metadata_database_refused");
    assert!(reason.message.ends_with("It is in use.") && reason.remedy == "Use another.");
}
