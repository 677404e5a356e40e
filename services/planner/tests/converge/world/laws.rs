//! What must hold at every moment, whatever happens. A broken law ends the test with its words.

use std::collections::HashSet;

use updraft_model::{Power, Step};
use updraft_planner::{Action, Desired, EnvironmentStage, KeyStage, KeyTurn, limits};
use updraft_provider::{NodeStatus, ProviderId};

use super::driver::View;
use super::happening::Quality;
use super::parts::Parts;
use super::records::{Records, RunningOperation, Safe};
use super::row::{Row, RowState};
use super::{CLUSTER, Shared, State};

/// No two nodes in one place. Launches of a driver that slept through its lease are strays, not nodes.
pub(crate) fn one_node_per_place(shared: &Shared) {
    let state = shared.state.borrow();
    let mut places = HashSet::new();
    for machine in shared.live() {
        if !state.late.contains(&machine.id) {
            assert!(
                places.insert((machine.role, machine.ordinal)),
                "two nodes in {:?} {}",
                machine.role,
                machine.ordinal
            );
        }
    }
}

/// What is on record as launched was made: otherwise nobody would ask for it any more.
pub(crate) fn counts_as_launched(row: &Row, was_made: bool) {
    assert!(
        was_made || row.state != RowState::Launched,
        "counts as launched what was never made: {} {}",
        row.role,
        row.ordinal
    );
}

/// Nodes that are wanted and work, or would if they were started, are never given up. A driver whose lease is over has
/// no say: what it does is held against what is wanted now.
pub(crate) fn no_harm(shared: &Shared, view: &View, is_held: bool, action: &Action) {
    let (Action::StopNode { node, .. } | Action::TerminateNode { node, .. } | Action::SwitchOffNode { node }) =
        action
    else {
        return;
    };
    let state = shared.state.borrow();
    let current = state.records.desired();
    let desired: &Desired = if is_held { &view.desired } else { &current };
    let Some(row) = state.records.rows.iter().find(|row| row.id == *node) else {
        return;
    };
    let stays = !matches!(desired.keys, KeyTurn::Draining | KeyTurn::Turned);
    let wanted = stays && desired.power == Power::Running && is_needed(&state, desired, row);
    let given_up = row.stop_asked_at.is_some() || matches!(row.state, RowState::Terminating | RowState::Gone);
    let is_late = view.at != state.records.now && is_held;
    let agent = state.agents.get(&row.id);
    let hung = agent.is_some_and(|agent| agent.hung);
    let stays = agent.is_none_or(|agent| agent.reclaimed.is_none());
    let machine = shared
        .live()
        .into_iter()
        .find(|m| Some(&m.id) == row.provider_id.as_ref());
    let (works, startable) = match machine.map(|m| m.status) {
        Some(NodeStatus::Running) => (!hung && stays, false),
        // What its provider has refused to start again and again is of no use.
        Some(NodeStatus::Stopped) => (false, stays && row.switch.refusals < limits::SWITCH_REFUSALS),
        _ => (false, false),
    };
    assert!(
        !wanted || given_up || is_late || !works,
        "harms a healthy node: {action:?}"
    );
    assert!(
        !wanted || given_up || is_late || !startable,
        "gives up a node that only has to be started: {action:?}"
    );
}

/// Whether the cluster has one node too few without it. Workers on another kind of machine than is asked for are replaced.
fn is_needed(state: &State, desired: &Desired, row: &Row) -> bool {
    let Some(name) = &row.queue else {
        return true;
    };
    let Some(queue) = desired.queues.iter().find(|queue| queue.name == *name) else {
        return false;
    };
    let serves = |other: &&Row| {
        other.queue == row.queue
            && other.stop_asked_at.is_none()
            && other.loss.is_none()
            && matches!(
                other.state,
                RowState::Intended | RowState::Launched | RowState::Kept
            )
    };
    let serving = state.records.rows.iter().filter(serves).count();
    serving <= usize::try_from(state.records.needed(queue)).unwrap()
        && row.instance_type == queue.instance_type
}

/// Whoever slept through its lease writes nothing.
pub(crate) fn writes_with_lease(is_held: bool) {
    assert!(is_held, "writes although another has the cluster");
}

/// Before the provider is asked to end a node: it is this cluster's, and no record has it.
pub(crate) fn may_end(shared: &Shared, id: &ProviderId) {
    let machines = shared.provider.machines();
    let Some(machine) = machines.iter().find(|machine| machine.id == *id) else {
        return;
    };
    assert_eq!(machine.cluster, CLUSTER, "ends another cluster's node");
    let state = shared.state.borrow();
    let owner = state.records.rows.iter().find(|row| {
        row.id == machine.node
            && row.provider_id.as_ref().is_none_or(|own| own == id)
            && !state.late.contains(id)
    });
    let owned = owner.is_some_and(|row| {
        matches!(
            row.state,
            RowState::Intended | RowState::Launched | RowState::Kept
        )
    });
    assert!(!owned, "ends a node whose record wants it");
}

/// No node is ever given what did not pass, and no change ends well with what does not work.
pub(crate) fn may_move(state: &State, to: &EnvironmentStage) {
    let quality = state.records.wanted_environment;
    match to {
        EnvironmentStage::Workers => assert_ne!(quality, Quality::Refused),
        EnvironmentStage::Settled => assert_eq!(quality, Quality::Good),
        EnvironmentStage::All | EnvironmentStage::Abandoned(_) => {}
    }
}

/// Keys are turned when nobody is left who knows the old ones, and an old Fernet key is destroyed when nothing is encrypted
/// with it any more.
pub(crate) fn may_turn(records: &Records, to: &KeyStage) {
    let safe = &records.safe;
    match to {
        KeyStage::Turned => {
            let left = records.live_rows().count();
            assert_eq!(left, 0, "keys are turned while nodes know the old ones");
        }
        KeyStage::Settled => {
            assert_eq!(
                safe.encrypted, safe.current,
                "what is encrypted can't be read any more"
            );
        }
        KeyStage::Reencrypting | KeyStage::Both(_) => {
            assert!(records.database_opens(), "the database takes an old password");
        }
    }
}

/// Whoever is launched can open what it is given.
pub(crate) fn may_launch(shared: &Shared) {
    let state = shared.state.borrow();
    assert!(
        state.records.nodes_can_read(),
        "nodes can't open what they are given: {:?} of {:?}",
        state.records.safe,
        state.records.keys
    );
}

/// Network, database and bucket are of a cluster for as long as it is not deleted, running or not.
pub(crate) fn may_lose_its_parts(shared: &Shared) {
    assert_eq!(
        shared.state.borrow().records.power,
        Power::Deleted,
        "removes what a cluster has that is not deleted"
    );
}

/// Whoever works has been told what with, and all of that is there.
pub(crate) fn may_use(parts: &Parts, safe: &Safe) {
    assert!(
        safe.made && parts.role && parts.database && parts.bucket,
        "uses what is not there: {parts:?}, {safe:?}"
    );
}

/// They open what is to be removed.
pub(crate) fn may_lose_its_secrets(shared: &Shared) {
    let left = shared.state.borrow().parts.left();
    assert_eq!(left, None, "its secrets go before what they open");
}

/// A cluster's record outlives its nodes.
pub(crate) fn may_be_deleted(shared: &Shared) {
    let state = shared.state.borrow();
    let left: Vec<_> = shared
        .live()
        .into_iter()
        .filter(|machine| !state.late.contains(&machine.id))
        .collect();
    assert!(left.is_empty(), "deleted while nodes live: {left:?}");
    let has_network = shared.provider.lists_network_of(CLUSTER) && !state.late_network;
    assert!(!has_network, "deleted while its network is there");
    if let Some(part) = state.parts.left() {
        panic!("deleted while its {part} is there");
    }
    assert!(!state.records.safe.made, "deleted while its secrets are there");
}

pub(crate) fn timeline(operation: Option<&RunningOperation>, steps: &[Step], view: &View) {
    let Some(operation) = operation.filter(|operation| operation.generation == view.desired.generation)
    else {
        return;
    };
    for step in steps {
        let times = [
            Some(operation.created_at),
            step.started_at,
            step.finished_at,
            Some(view.now.max(operation.created_at)),
        ];
        let known: Vec<_> = times.into_iter().flatten().collect();
        assert!(known.is_sorted(), "times out of order: {step:?} in {known:?}");
    }
}
