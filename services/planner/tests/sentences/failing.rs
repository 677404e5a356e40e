//! Launches, services and databases that fail.

use chrono::TimeDelta;
use updraft_model::{
    AgentPhase, Failure, NOT_ON_THIS_NODE, NodeRole, OperationKind, Phase, Power, ServiceName, ServiceState,
    Step, StepState,
};
use updraft_planner::{
    Action, LateFailures, LaunchFailure, LaunchFailureKind, Loss, NodeState, Outcome, PlaceHistory,
    ProviderView, Report, Resource, limits,
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

/// The provider took so many launches of the worker in a row and ended each by itself, the last one so long ago.
fn late_failures(kind: LaunchFailureKind, times: u32, seconds: i64) -> Case {
    let mut case = running(1).with_operation(OperationKind::Start);
    case.observed.phase = Phase::Starting { waiting_for: None };
    case.observed.nodes.pop();
    let message = "8 of 8".to_owned();
    case.observed.losses = vec![PlaceHistory {
        role: NodeRole::Worker,
        ordinal: 1,
        losses: times,
        never_reported: 0,
        late_failures: Some(LateFailures {
            times,
            failure: LaunchFailure { kind, message },
        }),
        last_lost_at: ago(seconds),
    }];
    case
}

fn failure(case: &Case) -> Option<Failure> {
    let actions = case.actions().into_iter();
    let mut ends = actions.filter_map(|action| match action {
        Action::FinishOperation {
            outcome: Outcome::Failed(failure),
        } => Some(failure),
        _ => None,
    });
    ends.next()
}

fn is_tried_again(case: &Case) -> bool {
    let tried = |action: &Action| matches!(action, Action::IntendNode { .. });
    case.actions().iter().any(tried)
}

#[test]
fn a_launch_that_is_refused_once_it_was_taken_fails_the_start_as_one_refused_at_once() {
    for (kind, times) in [
        (LaunchFailureKind::Refused, 1),
        (LaunchFailureKind::Quota, 2),
        (LaunchFailureKind::Capacity, 5),
    ] {
        assert_eq!(failure(&late_failures(kind, times - 1, 1)), None, "{kind:?}");
        let late = failure(&late_failures(kind, times, 1)).unwrap();
        let at_once = failure(&failed_launch(kind, times, 1)).unwrap();
        assert_eq!((&late.code, &late.message), (&at_once.code, &at_once.message));
        assert_eq!(late.remedy.split(';').next(), at_once.remedy.split(';').next());
        assert!(late.message.contains("worker-1") && late.message.contains("8 of 8"));
    }
}

#[test]
fn what_lacks_since_the_provider_ended_it_is_told_while_it_is_tried_again() {
    let waits = late_failures(LaunchFailureKind::Capacity, 3, 19);
    assert!(!is_tried_again(&waits));
    let plan = waits.plan();
    let waiting_for = Some("the worker node to be launched: 8 of 8".to_owned());
    assert_eq!(plan.phase, Phase::Starting { waiting_for });
    let is_launch = |step: &&Step| step.id == "worker-1/launch";
    let step = plan.steps.iter().find(is_launch).unwrap();
    assert_eq!(
        (step.state, step.detail.as_deref()),
        (StepState::Running, Some("8 of 8"))
    );
    assert!(is_tried_again(&late_failures(LaunchFailureKind::Capacity, 3, 20)));
}

#[test]
fn a_node_that_is_heard_fails_for_nothing_that_those_before_it_met_with() {
    let mut case = late_failures(LaunchFailureKind::Refused, 3, 1);
    case.observed.nodes = running(1).observed.nodes;
    let case = case.worker(|node| node.report = Some(report(AgentPhase::Starting)));
    assert_eq!(failure(&case), None);
    let unheard = case.worker(|node| (node.report, node.silence) = (None, TimeDelta::seconds(5)));
    assert!(failure(&unheard).is_some());
}

#[test]
fn what_an_earlier_operation_met_with_fails_no_later_one_and_holds_it_up_in_nothing() {
    let late = late_failures(LaunchFailureKind::Refused, 6, 31);
    assert_eq!(failure(&late), None);
    assert!(is_tried_again(&late), "the pause is the earlier operation's");
    let mut unheard = late_failures(LaunchFailureKind::Refused, 2, 31);
    let history = &mut unheard.observed.losses[0];
    (history.never_reported, history.late_failures) = (2, None);
    assert_eq!(failure(&unheard), None);

    let refused = failed_launch(LaunchFailureKind::Refused, 3, 31);
    assert_eq!(failure(&refused), None);
    let node = refused.last();
    assert_eq!(refused.actions(), [Action::ForgetNode { node, loss: None }]);
    let of_a_quota = failed_launch(LaunchFailureKind::Quota, 3, 31);
    assert_eq!(
        of_a_quota.actions(),
        [Action::LaunchNode { node }],
        "its answer counts"
    );
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
        late_failures: None,
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
