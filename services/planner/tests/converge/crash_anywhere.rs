//! Control is killed at each step boundary of each operation in turn: before and after each commit, each call and each
//! answer. The one that follows completes it.

use updraft_model::OnStop;
use updraft_model::Power;
use updraft_provider::simulated::Faults;

use crate::world::{Happening, Quality, Setting, Troubles, World};

/// Kills control after each number of steps that `what` takes, until it takes fewer; returns how many that are.
fn killed_at_every_step(faults: Faults, before: &[Happening], what: Happening) -> u32 {
    killed_in(&Setting::one(faults), before, what)
}

fn killed_in(setting: &Setting, before: &[Happening], what: Happening) -> u32 {
    for steps in 0.. {
        let mut world = World::new(setting);
        for happening in before {
            world.happen(happening);
            world.run_until_settled();
        }
        let begun = world.steps(0);
        world.happen(&what);
        world.happen(&Happening::CrashAfterSteps { control: 0, steps });
        world.run_until_settled();
        let died = world.steps(0) - begun >= steps;
        world.calm_down();
        world.run_until_settled();
        let turns = |what: &Happening| matches!(what, Happening::RotateKeys);
        if before.iter().chain([&what]).any(turns) {
            assert_turned(&mut world);
        }
        let starts = before
            .iter()
            .chain([&what])
            .filter(|what| brings_nodes(what))
            .count();
        assert_whole(&mut world, starts);
        if !died {
            return steps;
        }
    }
    unreachable!()
}

/// New nodes come for all places.
fn brings_nodes(what: &Happening) -> bool {
    matches!(what, Happening::Start | Happening::RotateKeys)
}

/// A stopped cluster is written anew by its next start.
fn assert_turned(world: &mut World) {
    if world.power() == Power::Stopped {
        world.happen(&Happening::Start);
        world.run_until_settled();
    }
    world.assert_keys_are_newest();
}

/// Not one node more than was asked for was ever launched, and a deletion leaves none. So often were all of them.
fn assert_whole(world: &mut World, starts: usize) {
    world.assert_as_asked();
    let mut places: Vec<_> = world
        .machines()
        .iter()
        .map(|machine| (machine.role, machine.ordinal))
        .collect();
    places.sort_unstable();
    let most = places.chunk_by(|one, next| one == next).map(<[_]>::len).max();
    assert!(most <= Some(starts.max(1)), "doubled: {:?}", world.machines());
    world.happen(&Happening::Delete);
    world.run_until_settled();
    world.assert_nothing_is_left();
}

/// All at once, and so that a node takes its time to be listed, to run and to end.
fn each_provider(check: impl Fn(Faults)) {
    check(Faults::default());
    check(Faults {
        listed_after: 2,
        slow: 2,
        ..Faults::default()
    });
}

#[test]
fn control_killed_at_any_step_of_a_start_is_followed_by_one_that_completes_it() {
    each_provider(|faults| {
        let steps = killed_at_every_step(faults, &[Happening::Scale(2)], Happening::Start);
        assert!(steps > 40, "{steps} steps");
    });
}

#[test]
fn control_killed_at_any_step_of_an_update_is_followed_by_one_that_completes_it() {
    each_provider(|faults| {
        for what in [
            Happening::Scale(3),
            Happening::Scale(0),
            Happening::Heavy {
                workers: 2,
                machine: 1,
            },
            Happening::Restart,
            Happening::ChangeEnvironment(Quality::Good),
            Happening::ChangeEnvironment(Quality::Broken),
        ] {
            let steps = killed_at_every_step(faults, &[Happening::Scale(1), Happening::Start], what);
            assert!(steps > 10, "{steps} steps of {what:?}");
        }
    });
}

#[test]
fn control_killed_at_any_step_of_a_stop_is_followed_by_one_that_completes_it() {
    each_provider(|faults| {
        let steps = killed_at_every_step(faults, &[Happening::Scale(2), Happening::Start], Happening::Stop);
        assert!(steps > 20, "{steps} steps");
    });
}

#[test]
fn control_killed_at_any_step_of_a_deletion_is_followed_by_one_that_completes_it() {
    each_provider(|faults| {
        let steps = killed_at_every_step(
            faults,
            &[Happening::Scale(2), Happening::Start],
            Happening::Delete,
        );
        assert!(steps > 20, "{steps} steps");
    });
}

#[test]
fn control_killed_at_any_step_with_machines_that_are_kept_is_followed_by_one_that_completes_it() {
    let keep = Happening::OnStop(OnStop::Keep);
    let running = [Happening::Scale(2), keep, Happening::Start];
    let stopped = [Happening::Scale(2), keep, Happening::Start, Happening::Stop];
    each_provider(|faults| {
        for (before, what) in [
            (&running[..], Happening::Stop),
            (&stopped[..], Happening::Start),
            (&stopped[..], Happening::OnStop(OnStop::End)),
            (&stopped[..], Happening::Delete),
        ] {
            let steps = killed_at_every_step(faults, before, what);
            assert!(steps > 10, "{steps} steps of {what:?}");
        }
    });
}

#[test]
fn control_killed_at_any_step_of_a_rotation_of_keys_is_followed_by_one_that_completes_it() {
    each_provider(|faults| {
        let started = [Happening::Scale(2), Happening::Start];
        let steps = killed_at_every_step(faults, &started, Happening::RotateKeys);
        assert!(steps > 60, "{steps} steps");
    });
}

#[test]
fn control_killed_at_any_step_of_a_rotation_while_stopped_is_followed_by_one_that_completes_it() {
    each_provider(|faults| {
        let stopped = [Happening::Start, Happening::Stop];
        let steps = killed_at_every_step(faults, &stopped, Happening::RotateKeys);
        assert!(steps > 8, "{steps} steps");
        let turned = [Happening::Start, Happening::Stop, Happening::RotateKeys];
        let steps = killed_at_every_step(faults, &turned, Happening::Start);
        assert!(steps > 40, "{steps} steps");
    });
}

#[test]
fn control_killed_at_any_step_of_a_rotation_with_machines_that_are_kept_is_followed_by_one_that_completes_it()
{
    let keep = Happening::OnStop(OnStop::Keep);
    each_provider(|faults| {
        for before in [
            &[keep, Happening::Start][..],
            &[keep, Happening::Start, Happening::Stop][..],
        ] {
            let steps = killed_at_every_step(faults, before, Happening::RotateKeys);
            assert!(steps > 8, "{steps} steps");
        }
    });
}

#[test]
fn control_killed_at_any_step_while_bucket_and_database_fail_is_followed_by_one_that_completes_it() {
    let setting = Setting {
        troubles: Troubles {
            ailing: [50, 50, 0],
            ..Troubles::default()
        },
        ..Setting::one(Faults::default())
    };
    let started = [Happening::Start];
    for (before, what) in [
        (&started[..0], Happening::Start),
        (&started[..], Happening::Delete),
        (&started[..], Happening::RotateKeys),
    ] {
        let steps = killed_in(&setting, before, what);
        assert!(steps > 20, "{steps} steps of {what:?}");
    }
}
