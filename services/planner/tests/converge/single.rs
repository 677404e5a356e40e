//! Single happenings, one after the other.

use updraft_model::{NodeRole, OnStop, Power};
use updraft_planner::Outcome;
use updraft_provider::NodeStatus;
use updraft_provider::simulated::{Faults, Machine};

use crate::world::{Happening, Quality, Setting, World};

/// One control, a provider that does all at once, and a cluster that went through this.
fn after(happenings: &[Happening]) -> World {
    let mut world = World::new(&Setting::one(Faults::default()));
    for happening in happenings {
        world.happen(happening);
        world.run_until_settled();
    }
    world
}

/// The cluster runs; then another environment is asked for. Returns how that operation ended.
fn after_environment(quality: Quality) -> Outcome {
    let world = after(&[
        Happening::Scale(2),
        Happening::Start,
        Happening::ChangeEnvironment(quality),
    ]);
    world.assert_as_asked();
    assert_eq!(world.machines().len(), 4, "no node was replaced");
    world.outcome().unwrap()
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
    let mut world = after(&[Happening::Scale(2), Happening::Start]);
    assert_eq!(world.machines().len(), 4);
    world.happen(&Happening::LoseNode(1));
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(world.machines().len(), 5);
}

#[test]
fn a_hung_worker_is_replaced_exactly_once() {
    let world = after(&[Happening::Start, Happening::HangAgent(2)]);
    world.assert_as_asked();
    assert_eq!(world.machines().len(), 4);
    assert_eq!(world.power(), Power::Running);
}

#[test]
fn a_hung_workers_replacement_does_not_wait_for_its_end() {
    let slow = Faults {
        slow: 5,
        ..Faults::default()
    };
    let mut world = World::new(&Setting::one(slow));
    world.happen(&Happening::Start);
    world.run_until_settled();
    let is_worker = |machine: &Machine| machine.role == NodeRole::Worker;
    let worker = world.machines().iter().position(is_worker).unwrap();
    world.happen(&Happening::HangAgent(worker));
    let has = |world: &World, status| world.machines().iter().any(|machine| machine.status == status);
    while !has(&world, NodeStatus::Ending) {
        world.tick();
    }
    assert!(has(&world, NodeStatus::Pending));
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(world.machines().len(), 4);
}

#[test]
fn a_worker_about_to_be_taken_back_is_replaced_once_and_before_that() {
    let mut world = after(&[Happening::Scale(2), Happening::Start]);
    let is_worker = |machine: &Machine| machine.role == NodeRole::Worker;
    let worker = world.machines().iter().position(is_worker).unwrap();
    world.happen(&Happening::ReclaimNotice(worker));
    while world.machines().len() == 4 {
        world.tick();
    }
    assert_eq!(world.machines()[worker].status, NodeStatus::Running, "it drains");
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(world.machines().len(), 5);
}

#[test]
fn a_worker_that_fails_its_checks_is_replaced_once_and_ends_its_tasks_first() {
    let mut world = after(&[Happening::Scale(2), Happening::Start]);
    let is_worker = |machine: &Machine| machine.role == NodeRole::Worker;
    let worker = world.machines().iter().position(is_worker).unwrap();
    world.happen(&Happening::FailChecks(worker));
    while world.machines().len() == 4 {
        world.tick();
    }
    assert_eq!(world.machines()[worker].status, NodeStatus::Impaired, "it drains");
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(world.machines().len(), 5);
}

#[test]
fn checks_that_pass_again_before_control_has_looked_cost_no_node() {
    let mut world = after(&[Happening::Scale(2), Happening::Start]);
    world.happen(&Happening::FailChecks(0));
    world.happen(&Happening::PassChecks);
    world.run_until_settled();
    assert_eq!(world.machines().len(), 4);
}

#[test]
fn machines_switched_off_come_back_as_the_same_nodes() {
    let slow = Faults {
        slow: 2,
        ..Faults::default()
    };
    let mut world = World::new(&Setting::one(slow));
    world.happen(&Happening::Start);
    world.run_until_settled();
    world.happen(&Happening::SwitchOffAll);
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(world.machines().len(), 3);
}

/// A cluster with two workers of its second queue, each on a machine of the first type.
fn with_a_heavy_queue() -> World {
    let heavy = Happening::Heavy {
        workers: 2,
        machine: 1,
    };
    after(&[heavy, Happening::Start])
}

#[test]
fn each_queue_has_workers_of_its_own() {
    let mut world = with_a_heavy_queue();
    world.assert_as_asked();
    world.happen(&Happening::Scale(2));
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(
        world.machines().len(),
        6,
        "a change of one queue touched another's workers"
    );
}

#[test]
fn workers_on_another_kind_of_machine_are_replaced_once_each() {
    let mut world = with_a_heavy_queue();
    let before = world.machines().len();
    world.happen(&Happening::Heavy {
        workers: 2,
        machine: 2,
    });
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(world.machines().len(), before + 2);
}

#[test]
fn a_queue_that_scales_has_the_workers_its_tasks_need() {
    let mut world = after(&[Happening::HeavyUpTo(3), Happening::Start]);
    assert_eq!(world.machines().len(), 3, "a worker came without a task");
    for (tasks, launched) in [(1, 4), (6, 6), (60, 6), (0, 6), (1, 7)] {
        world.happen(&Happening::Tasks(tasks));
        world.run_until_settled();
        world.assert_as_asked();
        assert_eq!(world.machines().len(), launched, "{tasks} tasks");
    }
}

#[test]
fn a_queue_that_is_taken_away_leaves_no_worker() {
    let mut world = with_a_heavy_queue();
    world.happen(&Happening::Heavy {
        workers: 0,
        machine: 0,
    });
    world.run_until_settled();
    world.assert_as_asked();
}

#[test]
fn control_away_for_an_hour_replaces_nothing() {
    let world = after(&[Happening::Start, Happening::ControlAway(720)]);
    assert_eq!(world.machines().len(), 3);
}

#[test]
fn control_that_stood_still_for_an_hour_replaces_nothing() {
    let pause = Happening::Pause {
        control: 0,
        steps: 0,
        ticks: 720,
    };
    let mut world = after(&[Happening::Start, pause]);
    for _ in 0..730 {
        world.tick();
    }
    world.run_until_settled();
    assert_eq!(world.machines().len(), 3);
}

#[test]
fn nodes_that_talk_to_another_control_are_not_silent() {
    let mut world = World::new(&Setting {
        clocks: vec![0, 0],
        ..Setting::one(Faults::default())
    });
    world.happen(&Happening::Scale(4));
    world.happen(&Happening::Start);
    world.run_until_settled();
    for _ in 0..5 {
        world.happen(&Happening::AgentsReconnect);
        for _ in 0..150 {
            world.tick();
        }
    }
    world.run_until_settled();
    assert_eq!(world.machines().len(), 6);
}

/// A cluster of four machines that keeps them, stopped.
fn stopped_with_its_machines(faults: Faults) -> World {
    let mut world = World::new(&Setting::one(faults));
    for happening in [
        Happening::OnStop(OnStop::Keep),
        Happening::Scale(2),
        Happening::Start,
        Happening::Stop,
    ] {
        world.happen(&happening);
        world.run_until_settled();
    }
    world
}

fn live(world: &World) -> usize {
    let machines = world.machines();
    machines
        .iter()
        .filter(|machine| machine.status != NodeStatus::Gone)
        .count()
}

#[test]
fn kept_machines_come_back_as_the_same_nodes() {
    let slow = Faults {
        slow: 2,
        listed_after: 2,
        ..Faults::default()
    };
    for faults in [Faults::default(), slow] {
        let mut world = stopped_with_its_machines(faults);
        world.assert_as_asked();
        assert_eq!(live(&world), 4, "a machine was not kept");
        for happening in [Happening::Start, Happening::Stop, Happening::Start] {
            world.happen(&happening);
            world.run_until_settled();
            world.assert_as_asked();
        }
        assert_eq!(world.machines().len(), 4, "another machine was made");
    }
}

#[test]
fn kept_machines_are_gone_once_the_choice_is_taken_back() {
    let mut world = stopped_with_its_machines(Faults::default());
    world.happen(&Happening::OnStop(OnStop::End));
    world.run_until_settled();
    world.assert_as_asked();
    assert_eq!(live(&world), 0);
}
