//! Which places workers have: as many in each queue as it is to have, and those stay that do most.
//!
//! Workers of all queues share one row of ordinals. No queue waits for those that leave it: they may drain for a day. Another comes at
//! once, with an ordinal of its own. So it is for one that worked and was lost: that it ends is the provider's matter alone; and
//! for one that the provider is about to take back: it drains for as long as it is left.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use updraft_model::{NodeRole, WorkerQueue};

use crate::desired::Desired;
use crate::observed::{Loss, Node, NodeState, Observed, ProviderView};
use crate::phase::is_ready;
use crate::scaling;

/// One worker's place in its queue, with the record that holds it.
pub(crate) struct WorkerPlace<'a> {
    pub(crate) queue: &'a WorkerQueue,
    pub(crate) ordinal: u32,
    pub(crate) holder: Option<&'a Node>,
}

/// The places of a running cluster's workers, in the order of queues.
pub(crate) fn places<'a>(desired: &'a Desired, observed: &'a Observed) -> Vec<WorkerPlace<'a>> {
    let workers = observed.nodes.iter().filter(|node| node.role == NodeRole::Worker);
    let mut taken: BTreeSet<u32> = workers.map(|node| node.ordinal).collect();
    let mut places = Vec::new();
    for queue in &desired.queues {
        let mut of_queue: Vec<_> = staying(queue, observed)
            .into_iter()
            .map(|node| (node.ordinal, Some(node)))
            .collect();
        while of_queue.len() < wanted(observed, queue) {
            let ordinal = lowest_free(&taken);
            taken.insert(ordinal);
            of_queue.push((ordinal, None));
        }
        of_queue.sort_by_key(|(ordinal, _)| *ordinal);
        let place = |(ordinal, holder)| WorkerPlace {
            queue,
            ordinal,
            holder,
        };
        places.extend(of_queue.into_iter().map(place));
    }
    places
}

/// Whether the node goes, and not because it was lost: nobody is to take its place on its account.
fn leaves(node: &Node) -> bool {
    let ends = node.stop_asked_at.is_some() || matches!(node.state, NodeState::Terminating { .. });
    ends && node.loss.is_none()
}

/// Those of the queue's workers that keep their places.
fn staying<'a>(queue: &WorkerQueue, observed: &'a Observed) -> Vec<&'a Node> {
    let wanted = wanted(observed, queue);
    let of_queue = observed
        .nodes
        .iter()
        .filter(|node| node.queue.as_ref() == Some(&queue.name) && !leaves(node));
    let (lost, mut members): (Vec<_>, Vec<_>) = of_queue.partition(|node| is_replaced_at_once(node));
    // Others come for as many as the queue is to have: where all are lost again and again, it goes by their ends.
    members.extend(lost.into_iter().skip(wanted));
    members.sort_by_key(|node| reasons_to_go(queue, node));
    members.truncate(wanted);
    if members.len() == wanted && members.iter().all(|node| is_ready(node)) {
        // On another kind of machine than is asked for: one after the other is replaced.
        let outdated = members.iter().rposition(|node| is_outdated(queue, node));
        outdated.map(|index| members.remove(index));
    }
    members
}

/// Whether it was given up after it had worked. Who never reported is waited out: the next one would do no better.
fn is_replaced_at_once(node: &Node) -> bool {
    let worked = node.report.is_some();
    match node.loss {
        Some(Loss::Vanished | Loss::Silent | Loss::Reclaimed | Loss::Impaired) => worked,
        Some(Loss::NeverReported) | None => false,
    }
}

/// Who has the most goes first.
fn reasons_to_go(queue: &WorkerQueue, node: &Node) -> impl Ord + use<> {
    (
        node.loss.is_some() || node.is_reclaimed() || node.provider == ProviderView::Impaired,
        !node.is_launched(),
        is_outdated(queue, node),
        // Who does most stays.
        Reverse(node.tasks.filter(|_| scaling::scales(queue))),
        node.ordinal,
    )
}

fn is_outdated(queue: &WorkerQueue, node: &Node) -> bool {
    node.instance_type != queue.instance_type
}

fn wanted(observed: &Observed, queue: &WorkerQueue) -> usize {
    usize::try_from(scaling::count(observed, queue)).unwrap_or(usize::MAX)
}

fn lowest_free(taken: &BTreeSet<u32>) -> u32 {
    (1..).find(|ordinal| !taken.contains(ordinal)).unwrap_or(u32::MAX)
}
