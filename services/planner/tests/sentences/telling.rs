//! What an operation says of itself while it goes on.

use chrono::TimeDelta;
use updraft_model::{AgentPhase, NodeId, OperationKind, Phase, Power, Step, StepState};
use updraft_planner::{Action, NodeState, Outcome, Report, Resource, plan};
use uuid::Uuid;

use crate::case::{Case, ago, now, ready, report, running, wanted};

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
