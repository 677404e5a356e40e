//! Schedules find what they are for: each known bug, switched on in the world, breaks the law that it is known to break
//! within some of them. Another law's panic, or one of the world itself, does not count.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::schedules::{number, run};
use crate::world::Bug;

/// Schedules within which every bug is found.
const SCHEDULES: u64 = 5000;
/// Schedules in which it is counted how often each shows, unless `UPDRAFT_BUG_SCHEDULES` says otherwise.
const COUNTED: u64 = 40;

/// In which schedules one breaks its law.
struct Shown {
    bug: Bug,
    first: Option<u64>,
    times: u64,
}

#[test]
fn every_known_bug_breaks_its_law() {
    let counted = number("UPDRAFT_BUG_SCHEDULES").unwrap_or(COUNTED);
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let shown = each(|bug| Shown::of(bug, counted));
    let missed: Vec<_> = shown.iter().filter(|shown| shown.first.is_none()).collect();
    let instead = missed.first().map(|shown| what_is_said_instead(shown.bug));
    set_hook(hook);
    for Shown { bug, first, times } in &shown {
        let law = bug.breaks();
        eprintln!("{bug:?}: \"{law}\" in {times} of {counted} schedules, first in {first:?}");
    }
    let missed: Vec<_> = missed.iter().map(|shown| shown.bug).collect();
    assert!(
        missed.is_empty(),
        "not caught: {missed:?}; of the first is said {instead:#?}"
    );
}

/// As many at once as there are processors.
fn each(look: impl Fn(Bug) -> Shown + Sync) -> Vec<Shown> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let look_at_some = || {
        let mut shown = Vec::new();
        while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            shown.push(look(*bug));
        }
        shown
    };
    std::thread::scope(|scope| {
        let looks: Vec<_> = (0..threads).map(|_| scope.spawn(look_at_some)).collect();
        looks.into_iter().flat_map(|look| look.join().unwrap()).collect()
    })
}

fn what_is_said_instead(bug: Bug) -> Vec<String> {
    (1..=SCHEDULES)
        .filter_map(|seed| failure(seed, bug))
        .take(3)
        .collect()
}

/// What is said at the schedule's end, unless it ends well.
fn failure(seed: u64, bug: Bug) -> Option<String> {
    let ended = catch_unwind(AssertUnwindSafe(|| run(seed, Some(bug))));
    ended.err().map(|panic| words(&*panic).to_owned())
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let formatted = panic.downcast_ref::<String>().map(String::as_str);
    formatted
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or_default()
}

// === impl Shown ===

impl Shown {
    fn of(bug: Bug, counted: u64) -> Self {
        let breaks = |seed: &u64| failure(*seed, bug).is_some_and(|words| words.contains(bug.breaks()));
        let seeds: Vec<_> = (1..=counted).filter(breaks).collect();
        Self {
            bug,
            first: seeds
                .first()
                .copied()
                .or_else(|| (counted + 1..=SCHEDULES).find(breaks)),
            times: seeds.len() as u64,
        }
    }
}
