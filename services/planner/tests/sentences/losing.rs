//! Nodes that are lost, about to be, or nobody's.

use chrono::TimeDelta;
use updraft_model::{AgentPhase, NodeRole, Phase, QueueName};
use updraft_planner::{Action, Hearing, Loss, Node, NodeState, Orphan, ProviderView, Report, limits};

use crate::case::{Case, ago, node, now, queue, report, running};

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
fn a_worker_that_fails_its_providers_checks_drains_while_another_comes() {
    let mut case = running(1).worker(|node| node.provider = ProviderView::Impaired);
    let (node, loss) = (case.last(), Some(Loss::Impaired));
    assert_eq!(case.actions(), [Action::StopNode { node, loss }]);
    case = case.worker(|node| (node.stop_asked_at, node.loss) = (Some(ago(1)), loss));
    assert_eq!(case.actions(), [worker_intended(2)]);
    let stopped = case.worker(|node| node.report = Some(report(AgentPhase::Stopped)));
    assert_eq!(
        stopped.actions(),
        [Action::TerminateNode { node, loss }, worker_intended(2)]
    );
}

#[test]
fn what_fails_its_providers_checks_and_has_nothing_to_drain_is_replaced_at_once() {
    for index in 0..3 {
        let mut case = running(1);
        case.observed.nodes[index].provider = ProviderView::Impaired;
        if case.observed.nodes[index].role == NodeRole::Worker {
            case.observed.nodes[index].silence = limits::QUIET;
        }
        let (node, loss) = (case.observed.nodes[index].id, Some(Loss::Impaired));
        assert_eq!(case.actions(), [Action::TerminateNode { node, loss }], "{index}");
    }
}

#[test]
fn where_many_fail_their_checks_none_is_replaced_for_it() {
    for hearing in [Hearing::Poorly, Hearing::Hardly] {
        let mut case = running(1).worker(|node| node.provider = ProviderView::Impaired);
        case.observed.hearing = hearing;
        assert_eq!(case.actions(), []);
    }
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
fn where_many_nodes_are_quiet_at_once_none_is_replaced_soon_and_where_most_are_none_at_all() {
    let replaced = |hearing, silence| {
        let mut case = running(1).worker(|node| node.silence = silence);
        case.observed.hearing = hearing;
        !case.actions().is_empty()
    };
    assert!(replaced(Hearing::Well, limits::SILENT));
    assert!(!replaced(Hearing::Poorly, limits::SILENT));
    assert!(replaced(Hearing::Poorly, limits::SILENT_ALL));
    assert!(!replaced(Hearing::Hardly, limits::SILENT_ALL * 10));
}

#[test]
fn a_node_that_is_to_stop_is_not_ended_for_what_control_cannot_hear() {
    let ended = |hearing| {
        let mut case = running(1).worker(|node| {
            node.stop_asked_at = Some(now() - limits::SILENT_STOP);
            node.silence = limits::SILENT_STOP;
        });
        case.observed.hearing = hearing;
        case.desired.queues = vec![queue(0)];
        let node = case.last();
        case.actions()
            .contains(&Action::TerminateNode { node, loss: None })
    };
    assert!(ended(Hearing::Well));
    assert!(!ended(Hearing::Hardly));
}

#[test]
fn how_well_control_hears_is_told_from_many_nodes_alone() {
    assert_eq!(Hearing::of(49, 49), Hearing::Well);
    assert_eq!(Hearing::of(50, 5), Hearing::Well);
    assert_eq!(Hearing::of(50, 6), Hearing::Poorly);
    assert_eq!(Hearing::of(50, 26), Hearing::Hardly);
}

#[test]
fn a_stopped_machine_is_started_as_the_same_node() {
    let case = running(1).worker(|node| node.provider = ProviderView::Stopped);
    assert_eq!(case.actions(), [Action::StartNode { node: case.last() }]);
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
