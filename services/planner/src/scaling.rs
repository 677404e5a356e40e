//! How many workers a queue has that scales by itself.
//!
//! Up at once, to as many as its tasks need; down only after they needed less for a while, and then to the most that they needed
//! meanwhile: while the same tasks are there, a size changes at most once. What is not known changes nothing. What a node reports
//! is never believed beyond the bounds that the tenant set.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use updraft_model::{Power, QueueName, WorkerQueue};

use crate::desired::Desired;
use crate::nodes::serves;
use crate::observed::{Fewer, Observed, QueueSize};

/// Sizes that are to be others from now on.
pub(crate) fn changes(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> Vec<QueueSize> {
    let changed = desired
        .queues
        .iter()
        .filter(|queue| scales(queue))
        .filter_map(|queue| {
            let before = size(observed, &queue.name);
            let next = next(desired, observed, queue, now);
            let is_news = before.map_or(next != least(queue), |before| *before != next);
            is_news.then_some(next)
        });
    changed.collect()
}

/// As if they were recorded: what a plan does with nodes goes by the sizes that it records.
pub(crate) fn with<'a>(observed: &'a Observed, changes: &[QueueSize]) -> Cow<'a, Observed> {
    if changes.is_empty() {
        return Cow::Borrowed(observed);
    }
    let mut observed = observed.clone();
    observed
        .sizes
        .retain(|size| !changes.iter().any(|change| change.queue == size.queue));
    observed.sizes.extend_from_slice(changes);
    Cow::Owned(observed)
}

/// How many workers the queue is to have now.
pub(crate) fn count(observed: &Observed, queue: &WorkerQueue) -> u32 {
    if !scales(queue) {
        return queue.min;
    }
    size(observed, &queue.name).map_or(queue.min, |size| size.count.clamp(queue.min, queue.max))
}

/// When a size may change although nothing happens.
pub(crate) fn next_change(desired: &Desired, observed: &Observed) -> Option<DateTime<Utc>> {
    let of_queue = |queue: &WorkerQueue| size(observed, &queue.name)?.fewer.as_ref();
    let ends = desired.queues.iter().filter_map(of_queue);
    ends.map(|fewer| fewer.since + desired.scale_in_after).min()
}

pub(crate) fn scales(queue: &WorkerQueue) -> bool {
    queue.min < queue.max
}

fn next(desired: &Desired, observed: &Observed, queue: &WorkerQueue, now: DateTime<Utc>) -> QueueSize {
    if desired.power != Power::Running {
        return least(queue);
    }
    let before = size(observed, &queue.name);
    let size = |count, fewer| QueueSize {
        queue: queue.name.clone(),
        count,
        fewer,
    };
    let has = count(observed, queue);
    let Some(tasks) = tasks(observed, &queue.name) else {
        return size(has.max(serving(observed, &queue.name)).min(queue.max), None);
    };
    let needs = tasks
        .div_ceil(queue.concurrency.max(1))
        .clamp(queue.min, queue.max);
    if needs >= has {
        return size(needs, None);
    }
    let begun = Fewer {
        since: now,
        most: needs,
    };
    let fewer = before
        .and_then(|before| before.fewer.clone())
        .map_or(begun.clone(), |fewer| Fewer {
            most: fewer.most.max(needs),
            ..fewer
        });
    if fewer.since + desired.scale_in_after > now {
        return size(has, Some(fewer));
    }
    size(fewer.most.min(has), (needs < fewer.most).then_some(begun))
}

fn least(queue: &WorkerQueue) -> QueueSize {
    QueueSize {
        queue: queue.name.clone(),
        count: queue.min,
        fewer: None,
    }
}

fn size<'a>(observed: &'a Observed, queue: &QueueName) -> Option<&'a QueueSize> {
    observed.sizes.iter().find(|size| size.queue == *queue)
}

/// Workers it has, some perhaps on their way.
fn serving(observed: &Observed, queue: &QueueName) -> u32 {
    let workers = observed
        .nodes
        .iter()
        .filter(|node| node.queue.as_ref() == Some(queue));
    u32::try_from(workers.filter(|node| serves(node)).count()).unwrap_or(u32::MAX)
}

/// Tasks of the queue, waiting and running; none when that is not known now.
fn tasks(observed: &Observed, queue: &QueueName) -> Option<u32> {
    let load = observed.load.as_ref()?;
    let of_queue = load.iter().filter(|load| load.queue == *queue);
    Some(
        of_queue
            .map(|load| load.queued.saturating_add(load.running))
            .fold(0, u32::saturating_add),
    )
}
