//! Sizes of queues that scale by themselves: what was recorded and what tasks there are, look after look.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::{Generation, OnStop, Phase, Power, WorkerQueue};
use updraft_planner::{
    Action, Desired, EnvironmentChange, Hearing, KeyTurn, Observed, QueueLoad, QueueSize, Resource, plan,
};

const COOL_DOWN: TimeDelta = TimeDelta::seconds(300);

/// A cluster with one queue, and what control recorded of it.
struct Queue {
    desired: Desired,
    observed: Observed,
    now: DateTime<Utc>,
    /// Each size it ever had.
    sizes: Vec<u32>,
}

impl Queue {
    fn new(typed: &str) -> Self {
        let queue: WorkerQueue = typed.parse().unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let ready = || Resource::Ready { since: now };
        Self {
            sizes: vec![queue.min],
            desired: Desired {
                power: Power::Running,
                on_stop: OnStop::End,
                generation: Generation(2),
                queues: vec![queue],
                environment: EnvironmentChange::Settled,
                operation: None,
                terminate_unrecorded: false,
                brings_database: false,
                keys: KeyTurn::Settled,
                scale_in_after: COOL_DOWN,
            },
            observed: Observed {
                phase: Phase::Running,
                secrets: ready(),
                database: ready(),
                storage: ready(),
                network: None,
                build: None,
                hearing: Hearing::Well,
                nodes: Vec::new(),
                losses: Vec::new(),
                load: None,
                reencryption: None,
                sizes: Vec::new(),
                orphans: Vec::new(),
                listing_lag: TimeDelta::seconds(10),
            },
            now,
        }
    }

    /// So many tasks are there for so many seconds; control looks each five, or when it said it would.
    fn with(&mut self, tasks: Option<u32>, seconds: i64) -> &mut Self {
        let queue = self.desired.queues[0].name.clone();
        self.observed.load = tasks.map(|tasks| {
            vec![QueueLoad {
                queue,
                queued: tasks / 2,
                running: tasks - tasks / 2,
            }]
        });
        let end = self.now + TimeDelta::seconds(seconds);
        while self.now < end {
            self.look();
            self.now += TimeDelta::seconds(5);
        }
        self
    }

    fn look(&mut self) {
        let plan = plan(&self.desired, &self.observed, self.now);
        for action in plan.actions {
            let Action::SizeQueue { size } = action else {
                continue;
            };
            if *self.sizes.last().unwrap() != size.count {
                self.sizes.push(size.count);
            }
            self.observed.sizes = vec![size];
        }
    }

    fn recorded(&self) -> &QueueSize {
        &self.observed.sizes[0]
    }
}

#[test]
fn a_queue_without_tasks_has_as_few_workers_as_it_may() {
    assert_eq!(Queue::new("heavy=0..4").with(Some(0), 900).sizes, [0]);
    assert_eq!(Queue::new("heavy=2..4").with(Some(0), 900).sizes, [2]);
}

#[test]
fn the_first_task_brings_a_worker_at_once_and_many_bring_no_more_than_the_most() {
    assert_eq!(Queue::new("heavy=0..4").with(Some(1), 5).sizes, [0, 1]);
    assert_eq!(
        Queue::new("heavy=0..4,concurrency=8").with(Some(8), 5).sizes,
        [0, 1]
    );
    assert_eq!(
        Queue::new("heavy=0..4,concurrency=8").with(Some(9), 5).sizes,
        [0, 2]
    );
    assert_eq!(Queue::new("heavy=1..4").with(Some(u32::MAX), 5).sizes, [1, 4]);
}

#[test]
fn workers_go_only_after_they_were_not_needed_for_a_while() {
    let mut queue = Queue::new("heavy=0..4,concurrency=1");
    assert_eq!(queue.with(Some(3), 60).with(Some(0), 295).sizes, [0, 3]);
    assert_eq!(queue.with(Some(0), 10).sizes, [0, 3, 0]);
    // A task just before the end begins the time anew.
    let mut queue = Queue::new("heavy=0..4,concurrency=1");
    queue
        .with(Some(3), 60)
        .with(Some(0), 290)
        .with(Some(3), 5)
        .with(Some(0), 295);
    assert_eq!(queue.sizes, [0, 3]);
}

#[test]
fn as_many_stay_as_were_needed_meanwhile() {
    let mut queue = Queue::new("heavy=0..8,concurrency=1");
    queue
        .with(Some(8), 60)
        .with(Some(1), 100)
        .with(Some(3), 5)
        .with(Some(1), 200);
    assert_eq!(queue.sizes, [0, 8, 3]);
    queue.with(Some(1), 310);
    assert_eq!(queue.sizes, [0, 8, 3, 1]);
}

#[test]
fn what_is_not_known_changes_nothing() {
    let mut queue = Queue::new("heavy=0..4,concurrency=1");
    queue.with(Some(2), 60).with(Some(0), 200).with(None, 3600);
    assert_eq!(queue.sizes, [0, 2]);
    assert_eq!(
        queue.with(Some(0), 290).sizes,
        [0, 2],
        "the time in which nothing was known counted"
    );
}

#[test]
fn a_cluster_that_is_stopped_begins_anew_with_the_least() {
    let mut queue = Queue::new("heavy=1..4,concurrency=1");
    queue.with(Some(4), 60);
    queue.desired.power = Power::Stopped;
    queue.with(Some(4), 5);
    assert_eq!(queue.sizes, [1, 4, 1]);
    assert_eq!(queue.recorded().fewer, None);
}

#[test]
fn control_looks_again_when_a_size_may_change() {
    let mut queue = Queue::new("heavy=0..4,concurrency=1");
    queue.with(Some(1), 5).with(Some(0), 5);
    let since = queue.recorded().fewer.clone().unwrap().since;
    let wake_at = plan(
        &queue.desired,
        &queue.observed,
        since + COOL_DOWN - TimeDelta::seconds(1),
    )
    .wake_at;
    assert!(wake_at <= since + COOL_DOWN);
}

/// Random loads: the size is always within its bounds, never below what is needed, and while the same tasks are there it changes
/// at most once more than that the tasks changed.
#[test]
fn no_size_flaps_whatever_the_tasks_do() {
    for seed in 1..=40_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut roll = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let (min, concurrency) = (roll(3), 1 + roll(4));
        let max = min + 1 + roll(5);
        let mut queue = Queue::new(&format!("q={min}..{max},concurrency={concurrency}"));
        for _ in 0..12 {
            let tasks = u32::try_from(roll(30)).unwrap();
            let seconds = i64::try_from(5 + roll(1200)).unwrap();
            let before = queue.sizes.len();
            queue.with(Some(tasks), seconds);
            let size = u64::from(*queue.sizes.last().unwrap());
            let needs = u64::from(tasks).div_ceil(concurrency).clamp(min, max);
            assert!(
                (min..=max).contains(&size) && size >= needs,
                "seed {seed}: {size} for {tasks}"
            );
            let changes = &queue.sizes[before..];
            // One step up, or steps down alone: never one after the other.
            let up = changes
                .first()
                .is_some_and(|first| *first > queue.sizes[before - 1]);
            assert!(!up || changes.len() == 1, "seed {seed}: {changes:?}");
            assert!(
                changes.is_sorted_by(|one, next| one > next),
                "seed {seed}: {changes:?}"
            );
        }
        // Left alone, it comes to what is needed with one change at most.
        let last = *queue.sizes.last().unwrap();
        queue.with(Some(1), 1200);
        let settled = queue.sizes.len();
        queue.with(Some(1), 600);
        assert_eq!(
            queue.sizes.len(),
            settled,
            "seed {seed}: from {last}: {:?}",
            queue.sizes
        );
    }
}
