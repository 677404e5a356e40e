//! Schedules find what they are for: each known bug, switched on in the world, breaks a law within some of them.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use crate::schedules::run;
use crate::world::Bug;

/// Schedules within which every bug is found.
const SCHEDULES: u64 = 5000;

#[test]
fn every_known_bug_is_caught() {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let found: Vec<_> = Bug::ALL
        .into_iter()
        .map(|bug| (bug, (1..=SCHEDULES).find(|seed| fails(*seed, bug))))
        .collect();
    set_hook(hook);
    for (bug, seed) in &found {
        eprintln!("{bug:?}: {seed:?}");
    }
    let missed: Vec<_> = found.iter().filter(|(_, seed)| seed.is_none()).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

fn fails(seed: u64, bug: Bug) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(seed, Some(bug)))).is_err()
}
