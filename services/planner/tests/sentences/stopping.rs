//! Clusters that stop, and what is removed with them.

use updraft_model::{AgentPhase, Generation, NodeRole, OnStop, OperationKind, Phase, Power};
use updraft_planner::{
    Action, KeyTurn, Loss, NodeState, Outcome, ProviderView, Report, Resource, gives_tasks_their_time, limits,
};

use crate::case::{Case, ago, node, now, report, running, wanted};

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
fn a_node_that_was_never_told_anything_is_not_asked_to_drain() {
    let stopped = running(1).asked(Power::Stopped).worker(|node| {
        node.assignment_version = 0;
        node.report = Some(Report {
            assignment_version: None,
            ..report(AgentPhase::Preparing)
        });
    });
    assert_eq!(
        stopped.actions(),
        [Action::TerminateNode {
            node: stopped.last(),
            loss: None
        }]
    );
}

#[test]
fn tasks_have_their_time_only_where_the_cluster_goes_on_and_the_provider_waits() {
    let stays = |power, keys, loss| gives_tasks_their_time(power, &keys, loss);
    assert!(stays(Power::Running, KeyTurn::Settled, None), "scaled in");
    assert!(stays(Power::Running, KeyTurn::Settled, Some(Loss::Impaired)));
    assert!(!stays(Power::Running, KeyTurn::Settled, Some(Loss::Reclaimed)));
    assert!(!stays(Power::Running, KeyTurn::Draining, None), "every node ends");
    assert!(!stays(Power::Running, KeyTurn::Turned, None), "every node ends");
    assert!(!stays(Power::Stopped, KeyTurn::Settled, None));
    assert!(!stays(Power::Deleted, KeyTurn::Settled, None));
}

#[test]
fn a_draining_worker_is_given_its_time() {
    let draining = |power, asked| {
        running(1).asked(power).worker(|node| {
            (node.stop_asked_at, node.report) = (Some(asked), Some(report(AgentPhase::Stopping)));
        })
    };
    assert_eq!(draining(Power::Stopped, ago(3600)).actions(), []);
    let limit = now() - limits::DRAIN_FOR_STOP;
    assert_eq!(draining(Power::Stopped, limit).actions().len(), 1);
    let for_hours = draining(Power::Stopped, limit).with_operation(OperationKind::Stop);
    assert_eq!(
        for_hours.actions(),
        [],
        "the stop is new, and gives what stops give"
    );
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

/// A stopped cluster whose one worker is kept and stands still.
fn kept() -> Case {
    let mut case = wanted(1).asked(Power::Stopped);
    case.desired.on_stop = OnStop::Keep;
    let mut worker = node(NodeRole::Worker, 1);
    worker.state = NodeState::Kept {
        launched_at: Some(ago(3600)),
    };
    (worker.provider, worker.report) = (ProviderView::Stopped, None);
    case.observed.nodes = vec![worker];
    case
}

/// The last worker has stopped, and its machine is to be kept.
fn stopped_worker(seen: ProviderView) -> Case {
    let mut case = running(1).asked(Power::Stopped).worker(|node| {
        (node.stop_asked_at, node.report) = (Some(ago(60)), Some(report(AgentPhase::Stopped)));
        (node.provider, node.silence) = (seen, limits::SILENT);
    });
    case.desired.on_stop = OnStop::Keep;
    case.observed.nodes.retain(|node| node.role == NodeRole::Worker);
    case
}

#[test]
fn a_kept_machine_is_switched_off_once_its_services_have_stopped_and_kept_once_it_is_off() {
    let on = stopped_worker(ProviderView::Running);
    let node = on.last();
    assert_eq!(on.actions(), [Action::SwitchOffNode { node }]);
    assert_eq!(on.plan().phase, Phase::Stopping);
    let asked = stopped_worker(ProviderView::Running).worker(|node| node.switch.asked_at = Some(ago(29)));
    assert_eq!(asked.actions(), [], "it is asked again before it can be off");
    let again = stopped_worker(ProviderView::Running).worker(|node| node.switch.asked_at = Some(ago(30)));
    assert_eq!(again.actions(), [Action::SwitchOffNode { node }]);
    assert_eq!(stopped_worker(ProviderView::Unknown).actions(), []);
    let off = stopped_worker(ProviderView::Stopped);
    assert_eq!(off.actions(), [Action::KeepNode { node }]);
    assert_eq!(off.plan().phase, Phase::Stopping, "before it is on record");
}

#[test]
fn what_cannot_be_kept_is_ended() {
    let ended = |case: Case| {
        let (node, loss) = (case.last(), case.observed.nodes[0].loss);
        assert_eq!(case.actions(), [Action::TerminateNode { node, loss }]);
    };
    ended(stopped_worker(ProviderView::Running).worker(|node| node.switch.works = false));
    ended(stopped_worker(ProviderView::Running).worker(|node| node.switch.refusals = 3));
    ended(stopped_worker(ProviderView::Running).worker(|node| node.loss = Some(Loss::Silent)));
    ended(stopped_worker(ProviderView::Running).worker(|node| node.report = None));
    ended(kept().worker(|node| node.switch.works = false));
}

#[test]
fn a_cluster_whose_machines_are_kept_is_stopped_and_a_stop_of_it_succeeds() {
    let case = kept().with_operation(OperationKind::Stop);
    assert_eq!(case.plan().phase, Phase::Stopped);
    let outcome = Outcome::Succeeded;
    assert_eq!(case.actions(), [Action::FinishOperation { outcome }]);
    let steps = case.plan().steps;
    assert!(
        steps.iter().any(|step| step.title == "Switch worker-1 off"),
        "{steps:?}"
    );
    assert_eq!(
        kept().plan().wake_at,
        now() + limits::LOOK_EMPTY,
        "it is looked at all the time"
    );
    let unseen = kept().worker(|node| node.provider = ProviderView::Unknown);
    assert_eq!((unseen.actions(), unseen.plan().phase), (vec![], Phase::Stopped));
}

#[test]
fn kept_machines_are_ended_when_the_choice_is_taken_back_and_when_the_cluster_is_deleted() {
    let node = kept().last();
    let ended = [Action::TerminateNode { node, loss: None }];
    let mut taken_back = kept().with_operation(OperationKind::Update);
    taken_back.desired.on_stop = OnStop::End;
    assert_eq!(taken_back.actions(), ended);
    assert_eq!(taken_back.plan().phase, Phase::Stopping);
    assert_eq!(kept().asked(Power::Deleted).actions(), ended);
}

#[test]
fn a_kept_machine_that_somebody_starts_is_switched_off_and_one_that_somebody_ends_is_forgotten() {
    let node = kept().last();
    let started = kept().worker(|node| node.provider = ProviderView::Running);
    assert_eq!(started.actions(), [Action::SwitchOffNode { node }]);
    let ended = kept().worker(|node| node.provider = ProviderView::Gone);
    assert_eq!(ended.actions(), [Action::ForgetNode { node, loss: None }]);
}

#[test]
fn a_start_wakes_kept_machines_before_it_starts_them_and_ends_those_too_many() {
    let mut case = running(1);
    case.desired.generation = Generation(9);
    let case = case.worker(|node| {
        node.state = NodeState::Kept { launched_at: None };
        (node.provider, node.report) = (ProviderView::Stopped, None);
    });
    let node = case.last();
    assert_eq!(case.actions(), [Action::WakeNode { node }]);
    let mut fewer = kept().asked(Power::Running);
    fewer.desired.queues[0].min = 0;
    fewer.desired.queues[0].max = 0;
    let node = fewer.last();
    assert!(
        fewer
            .actions()
            .contains(&Action::TerminateNode { node, loss: None })
    );
}

#[test]
fn a_machine_that_its_provider_will_not_start_is_replaced() {
    let off = |refusals| {
        running(1).worker(|node| {
            (node.provider, node.report) = (ProviderView::Stopped, None);
            node.switch.refusals = refusals;
        })
    };
    let node = off(0).last();
    assert_eq!(off(2).actions(), [Action::StartNode { node }]);
    assert_eq!(off(3).actions(), [Action::TerminateNode { node, loss: None }]);
}

#[test]
fn a_brought_database_is_left_as_it_is_and_says_so() {
    let title = |brings_database| {
        let mut deleted = wanted(1)
            .asked(Power::Deleted)
            .with_operation(OperationKind::Delete);
        deleted.desired.brings_database = brings_database;
        let steps = deleted.plan().steps;
        let step = steps.into_iter().find(|step| step.id == "drop-database");
        step.unwrap().title
    };
    assert_eq!(title(false), "Delete the metadata database");
    assert_eq!(title(true), "Leave your metadata database as it is");
}
