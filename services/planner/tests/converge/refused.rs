//! What the provider refuses until it is mended, or until people wish for something else, and parts that do not work for a
//! while: the operation ends and says why, what runs goes on, and what was asked for comes once it can.

use updraft_model::{Failure, Phase};
use updraft_planner::Outcome;
use updraft_provider::simulated::Faults;

use crate::world::{Happening, Part, Quality, Refusal, Setting, Troubles, World};

fn new() -> World {
    World::new(&Setting::one(Faults::default()))
}

/// What people are told of an operation that does not come to its end.
fn told(world: &mut World) -> Failure {
    world.endure();
    match world.outcome() {
        Some(Outcome::Failed(failure)) => failure,
        other => panic!("it should have failed: {other:?}"),
    }
}

fn all_mended(world: &mut World) {
    world.calm_down();
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(world.phase(), Phase::Running);
}

#[test]
fn a_start_that_is_refused_says_why_and_the_cluster_runs_once_that_is_mended() {
    for (refusal, code, word) in [
        (Refusal::Quota, "node_launch_failed", "quota"),
        (Refusal::Capacity, "node_launch_failed", "capacity"),
        (Refusal::Subnet, "network_unavailable", "subnet"),
        (Refusal::Changes, "network_unavailable", "may not"),
        (Refusal::Everything, "network_unavailable", "may not"),
    ] {
        let mut world = new();
        world.happen(&Happening::Refuse(refusal));
        world.happen(&Happening::Start);
        let failure = told(&mut world);
        assert_eq!(failure.code, code, "{refusal:?}");
        assert!(failure.message.contains(word), "{refusal:?}: {}", failure.message);
        assert!(world.machines().is_empty(), "{refusal:?}");
        all_mended(&mut world);
        assert_eq!(world.machines().len(), 3, "{refusal:?}");
    }
}

#[test]
fn more_workers_than_the_quota_allows_harm_none_of_those_there_are() {
    let mut world = new();
    world.happen(&Happening::Start);
    world.run_until_settled();
    world.happen(&Happening::Refuse(Refusal::Quota));
    world.happen(&Happening::Scale(3));
    assert_eq!(told(&mut world).code, "node_launch_failed");
    assert!(
        matches!(world.phase(), Phase::Degraded { .. }),
        "{:?}",
        world.phase()
    );
    assert_eq!(world.machines().len(), 3);
    all_mended(&mut world);
    assert_eq!(world.machines().len(), 5);
}

#[test]
fn machines_that_do_not_exist_are_told_and_forgotten_once_others_are_wished_for() {
    for machine in [3, 4] {
        let mut world = new();
        world.happen(&Happening::Heavy { workers: 1, machine });
        world.happen(&Happening::Start);
        assert_eq!(told(&mut world).code, "node_launch_failed");
        world.happen(&Happening::Heavy {
            workers: 1,
            machine: 1,
        });
        all_mended(&mut world);
        assert_eq!(world.machines().len(), 4);
    }
}

#[test]
fn a_part_that_cannot_be_made_is_told_and_made_once_it_can() {
    for (part, code) in [
        (Part::Bucket, "storage_unavailable"),
        (Part::Database, "database_unavailable"),
    ] {
        let mut world = new();
        world.happen(&Happening::Ail { part, percent: 100 });
        world.happen(&Happening::Start);
        assert_eq!(told(&mut world).code, code);
        all_mended(&mut world);
    }
}

#[test]
fn a_database_that_does_not_take_the_new_password_fails_the_turn_and_takes_it_once_it_can() {
    let mut world = new();
    world.happen(&Happening::Start);
    world.run_until_settled();
    world.happen(&Happening::Ail {
        part: Part::Database,
        percent: 100,
    });
    world.happen(&Happening::RotateKeys);
    while !world.machines().is_empty() && world.outcome() == Some(Outcome::Succeeded) {
        world.tick();
    }
    assert_eq!(told(&mut world).code, "database_unavailable");
    all_mended(&mut world);
    world.assert_keys_are_newest();
}

#[test]
fn a_deletion_goes_on_until_nothing_is_left_however_long_a_part_stays() {
    let away = |part| Happening::Ail { part, percent: 100 };
    for trouble in [
        away(Part::Bucket),
        away(Part::Database),
        Happening::Refuse(Refusal::Changes),
        Happening::Refuse(Refusal::Everything),
    ] {
        let mut world = new();
        world.happen(&Happening::Start);
        world.run_until_settled();
        world.happen(&trouble);
        world.happen(&Happening::Delete);
        for _ in 0..100 {
            world.tick();
        }
        assert!(!world.is_deleted(), "{trouble:?}");
        world.calm_down();
        world.run_until_settled();
        world.assert_nothing_is_left();
    }
}

#[test]
fn requests_that_never_arrive_cost_time_and_no_machine() {
    let troubles = Troubles {
        unheard: 50,
        ..Troubles::default()
    };
    let mut world = World::new(&Setting {
        troubles,
        ..Setting::one(Faults::default())
    });
    for happening in [
        Happening::Scale(2),
        Happening::Start,
        Happening::ChangeEnvironment(Quality::Good),
    ] {
        world.happen(&happening);
        world.run_until_settled();
        world.assert_as_asked();
    }
    assert_eq!(world.machines().len(), 4);
}

#[test]
fn a_volume_that_outlived_its_machine_is_deleted_once_the_node_is_gone() {
    let mut world = new();
    world.happen(&Happening::Start);
    world.run_until_settled();
    for which in 0..3 {
        world.happen(&Happening::KeepVolume(which));
    }
    world.happen(&Happening::LoseNode(0));
    world.run_until_settled();
    world.happen(&Happening::Delete);
    world.run_until_settled();
    world.assert_nothing_is_left();
}
