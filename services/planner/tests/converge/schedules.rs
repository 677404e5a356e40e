//! Random schedules, each of one seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::world::{Bug, Happening, Schedule, World};

/// As many as take some seconds.
const SCHEDULES: u64 = 2000;

#[test]
fn every_schedule_converges() {
    if let Some(seed) = number("UPDRAFT_SCHEDULE_SEED") {
        eprintln!("{:#?}", Schedule::of(seed));
        return run(seed, None);
    }
    let first = number("UPDRAFT_FIRST_SCHEDULE").unwrap_or(1);
    let next = AtomicU64::new(first);
    let end = first + number("UPDRAFT_SCHEDULES").unwrap_or(SCHEDULES);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| first_failure(&next, end)))
            .collect();
        workers
            .into_iter()
            .filter_map(|worker| worker.join().unwrap())
            .collect()
    });
    assert!(
        failed.is_empty(),
        "run again with UPDRAFT_SCHEDULE_SEED={}: {:#?}",
        failed[0],
        Schedule::of(failed[0])
    );
}

/// One schedule from a stopped cluster to a deleted one.
pub(crate) fn run(seed: u64, bug: Option<Bug>) {
    let schedule = Schedule::of(seed);
    let mut world = World::with_bug(&schedule.setting, bug);
    for (happening, ticks) in &schedule.happenings {
        world.happen(happening);
        for _ in 0..*ticks {
            world.tick();
        }
    }
    if schedule.lasts {
        world.endure();
    }
    world.calm_down();
    world.put_right(schedule.remedy);
    world.let_late_calls_arrive();
    world.run_until_settled();
    world.assert_it_stays();
    world.assert_as_asked();

    world.happen(&Happening::Delete);
    world.run_until_settled();
    world.assert_nothing_is_left();
}

fn first_failure(next: &AtomicU64, end: u64) -> Option<u64> {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return None;
        }
        if catch_unwind(AssertUnwindSafe(|| run(seed, None))).is_err() {
            next.store(end, Ordering::Relaxed);
            return Some(seed);
        }
    }
}

pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
