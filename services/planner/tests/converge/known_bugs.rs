//! Schedules find what they are for: each known bug, switched on in the world, breaks the law that it is known to break
//! within some of them. Another law's panic, or one of the world itself, does not count.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use crate::schedules::run;
use crate::world::Bug;

/// Schedules within which every bug is found.
const SCHEDULES: u64 = 5000;

#[test]
fn every_known_bug_breaks_its_law() {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let found: Vec<_> = Bug::ALL.into_iter().map(|bug| (bug, first(bug))).collect();
    let missed: Vec<_> = found.iter().filter(|(_, seed)| seed.is_none()).collect();
    let instead = missed.first().map(|(bug, _)| what_is_said_instead(*bug));
    set_hook(hook);
    for (bug, seed) in &found {
        eprintln!("{bug:?}: \"{}\" in schedule {seed:?}", bug.breaks());
    }
    assert!(
        missed.is_empty(),
        "not caught: {missed:?}; of the first is said {instead:#?}"
    );
}

/// The first schedule in which it breaks its law.
fn first(bug: Bug) -> Option<u64> {
    (1..=SCHEDULES).find(|seed| failure(*seed, bug).is_some_and(|words| words.contains(bug.breaks())))
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
