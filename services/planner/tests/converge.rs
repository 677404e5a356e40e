//! Whatever happens, in whatever order, wherever control crashes: the planner leads to what was asked, never doubles a
//! node, never ends a healthy one that is wanted, and leaves nothing behind.
//!
//! The records obey the driver's transaction rules, the nodes come from the simulated provider, agents are modelled.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;

use proptest::prelude::*;
use updraft_model::Power;
use updraft_planner::Outcome;
use updraft_provider::simulated::Faults;
use world::{Happening, Quality, World};

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => Just(Happening::Start),
        2 => Just(Happening::Stop),
        1 => Just(Happening::Restart),
        2 => (0..4_u32).prop_map(Happening::Scale),
        3 => prop_oneof![Just(Quality::Good), Just(Quality::Refused), Just(Quality::Broken), Just(Quality::Unprepared)]
            .prop_map(Happening::ChangeEnvironment),
        1 => Just(Happening::Delete),
        3 => any::<prop::sample::Index>().prop_map(|i| Happening::LoseNode(i.index(64))),
        2 => any::<prop::sample::Index>().prop_map(|i| Happening::HangAgent(i.index(64))),
        2 => Just(Happening::SwitchOffAll),
        2 => any::<prop::sample::Index>().prop_map(|i| Happening::SwitchOff(i.index(64))),
        4 => (0..12_u32).prop_map(Happening::CrashAfterEffects),
        2 => (1..40_i64).prop_map(Happening::ControlAway),
    ]
}

fn faults() -> impl Strategy<Value = Faults> {
    (0..30_u8, 0..30_u8, 0..15_u8, 0..30_u8, 0..4_u64, 0..4_u64).prop_map(
        |(throttled, capacity, quota, answer_lost, listed_after, slow)| Faults {
            throttled,
            capacity,
            quota,
            answer_lost,
            listed_after,
            slow,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_schedule_converges(
        seed in any::<u64>(),
        faults in faults(),
        schedule in prop::collection::vec((happening(), 0..12_u32), 1..24),
    ) {
        let mut world = World::new(seed, faults);
        for (happening, ticks) in schedule {
            world.happen(&happening);
            for _ in 0..ticks {
                world.tick();
            }
        }
        world.calm_down();
        world.run_until_settled();
        world.assert_as_asked();

        world.happen(&Happening::Delete);
        world.run_until_settled();
        prop_assert!(world.is_deleted());
        prop_assert!(world.provider.live().is_empty(), "leaked: {:?}", world.provider.live());
    }
}

/// The cluster runs; then another environment is asked for. Returns how that operation ended.
fn after_environment(quality: Quality) -> Outcome {
    let mut world = World::new(1, Faults::default());
    world.happen(&Happening::Scale(2));
    world.happen(&Happening::Start);
    world.run_until_settled();
    world.happen(&Happening::ChangeEnvironment(quality));
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(world.provider.machines().len(), 4, "no node was replaced");
    world.outcome().unwrap().clone()
}

#[test]
fn a_good_environment_reaches_every_node() {
    assert_eq!(after_environment(Quality::Good), Outcome::Succeeded);
}

#[test]
fn a_refused_environment_fails_its_operation_and_the_cluster_runs_on() {
    let Outcome::Failed(failure) = after_environment(Quality::Refused) else {
        panic!("it succeeded");
    };
    assert_eq!(failure.code, "environment_refused");
}

#[test]
fn a_script_that_fails_on_workers_although_its_trial_did_not_is_rolled_back() {
    let Outcome::Failed(failure) = after_environment(Quality::Unprepared) else {
        panic!("it must not succeed");
    };
    assert_eq!(failure.code, "environment_rolled_back");
}

#[test]
fn an_environment_with_which_workers_do_not_start_is_rolled_back() {
    let Outcome::Failed(failure) = after_environment(Quality::Broken) else {
        panic!("it succeeded");
    };
    assert_eq!(failure.code, "environment_rolled_back");
    assert!(failure.message.contains("worker"), "{}", failure.message);
}

#[test]
fn a_lost_node_is_replaced_exactly_once() {
    let mut world = World::new(1, Faults::default());
    world.happen(&Happening::Scale(2));
    world.happen(&Happening::Start);
    world.run_until_settled();
    assert_eq!(world.provider.machines().len(), 4);
    world.happen(&Happening::LoseNode(1));
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(world.provider.machines().len(), 5);
}

#[test]
fn a_hung_worker_is_replaced_exactly_once() {
    let mut world = World::new(1, Faults::default());
    world.happen(&Happening::Start);
    world.run_until_settled();
    world.happen(&Happening::HangAgent(2));
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(world.provider.machines().len(), 4);
    assert_eq!(world.power(), Power::Running);
}

#[test]
fn machines_switched_off_come_back_as_the_same_nodes() {
    let mut world = World::new(
        1,
        Faults {
            slow: 2,
            ..Faults::default()
        },
    );
    world.happen(&Happening::Start);
    world.run_until_settled();
    world.happen(&Happening::SwitchOffAll);
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(world.provider.machines().len(), 3);
}

#[test]
fn control_away_for_an_hour_replaces_nothing() {
    let mut world = World::new(1, Faults::default());
    world.happen(&Happening::Start);
    world.run_until_settled();
    world.happen(&Happening::ControlAway(720));
    world.run_until_settled();
    assert_eq!(world.provider.machines().len(), 3);
}
