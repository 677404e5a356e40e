//! Services of a node as real processes, under a real agent process that is killed and started again.

use std::time::{Duration, Instant};

use crate::support::{Control, TestNode, eventually, is, is_gone, process, service, status};
use rustix::process::Signal;
use updraft_api::agent::{Assignment, FileAssignment, HealthCheck, NodePower, ServiceAssignment};
use updraft_model::{AgentPhase, Generation, ServiceName, ServiceState};

const SLEEP: &str = "exec sleep 1000";

#[tokio::test]
async fn services_start_in_order_and_the_node_runs() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut scheduler = service(ServiceName::Scheduler, "cat first > second; exec sleep 1000");
    scheduler.after = vec![ServiceName::Broker];
    control.assign(node.assignment(vec![
        service(ServiceName::Broker, "echo 1 > first; exec sleep 1000"),
        scheduler,
    ]));
    let begun = Instant::now();
    let _agent = node.spawn_agent();
    let report = control.phase(AgentPhase::Running).await;
    println!("running after {} ms", begun.elapsed().as_millis());
    assert_eq!(std::fs::read_to_string(node.path("work/second")).unwrap(), "1\n");
    let broker = status(&report, ServiceName::Broker).started_at.unwrap();
    assert!(broker <= status(&report, ServiceName::Scheduler).started_at.unwrap());
    let steps: Vec<_> = report.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(steps, ["prepare", "dags", "broker", "scheduler"]);
}

#[tokio::test]
async fn a_killed_service_is_started_again_and_told_of() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    control.assign(node.assignment(vec![service(ServiceName::Scheduler, SLEEP)]));
    let _agent = node.spawn_agent();
    let first = process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler);
    first.signal(Signal::KILL).unwrap();
    let report = control
        .report_where("another process", |report| {
            is(report, ServiceName::Scheduler, ServiceState::Healthy)
                && status(report, ServiceName::Scheduler).pid != Some(first.pid)
        })
        .await;
    assert_eq!(status(&report, ServiceName::Scheduler).restarts, 1);
    let event = control.event("service_restarted").await;
    assert_eq!(
        event.message,
        "scheduler was killed by signal 9 and is started again."
    );
}

#[tokio::test]
async fn a_service_that_cannot_start_is_an_event_with_its_last_words_and_no_secret() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut broken = service(ServiceName::Scheduler, "echo \"no such database: $DSN\"; exit 3");
    broken.health = HealthCheck::HttpStatus {
        url: "http://127.0.0.1:9/".to_owned(),
    };
    broken
        .env
        .insert("DSN".to_owned(), "postgresql://u:hunter22@h/d".to_owned());
    control.assign(node.assignment(vec![broken, service(ServiceName::Triggerer, SLEEP)]));
    let _agent = node.spawn_agent();
    let event = control.event("service_cannot_start").await;
    assert_eq!(event.service, Some(ServiceName::Scheduler));
    assert!(event.message.contains("ended with status 3"), "{}", event.message);
    assert!(
        event.message.contains("no such database: ***"),
        "{}",
        event.message
    );
    let report = control.phase(AgentPhase::Degraded).await;
    assert!(is(&report, ServiceName::Triggerer, ServiceState::Healthy));
    control
        .report_where("back-off", |report| {
            is(report, ServiceName::Scheduler, ServiceState::BackingOff)
        })
        .await;
}

#[tokio::test]
async fn a_command_that_does_not_exist_says_so() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut missing = service(ServiceName::Scheduler, "");
    missing.argv = vec!["/nonexistent/airflow".to_owned()];
    control.assign(node.assignment(vec![missing]));
    let _agent = node.spawn_agent();
    let event = control.event("service_cannot_start").await;
    assert!(
        event.message.contains("/nonexistent/airflow"),
        "{}",
        event.message
    );
}

#[tokio::test]
async fn killing_the_agent_touches_no_service_and_the_next_one_adopts_them() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    control.assign(node.assignment(vec![
        service(ServiceName::Broker, SLEEP),
        service(ServiceName::Scheduler, SLEEP),
    ]));
    let agent = node.spawn_agent();
    let before = control.phase(AgentPhase::Running).await;
    let pids = [ServiceName::Broker, ServiceName::Scheduler].map(|name| process(&before, name));
    agent.kill();
    assert!(pids.iter().all(|id| id.is_alive()));

    let _agent = node.spawn_agent();
    control.change(|_| {});
    let after = control
        .report_where("the new version", |report| {
            report.assignment_version == Some(2) && report.phase == AgentPhase::Running
        })
        .await;
    assert_eq!(
        [ServiceName::Broker, ServiceName::Scheduler].map(|name| process(&after, name)),
        pids
    );
    assert_eq!(control.registrations(), 1);
    assert!(control.events().is_empty());

    // What was adopted is watched like any other.
    pids[1].signal(Signal::KILL).unwrap();
    control.event("service_restarted").await;
}

#[tokio::test]
async fn a_service_that_died_without_an_agent_is_started_again() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    control.assign(node.assignment(vec![service(ServiceName::Scheduler, SLEEP)]));
    let agent = node.spawn_agent();
    let first = process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler);
    agent.kill();
    first.signal(Signal::KILL).unwrap();
    let _agent = node.spawn_agent();
    assert!(
        control
            .event("service_restarted")
            .await
            .message
            .contains("while no agent watched")
    );
}

#[tokio::test]
async fn a_reused_pid_is_not_adopted() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    control.assign(node.assignment(vec![service(ServiceName::Scheduler, SLEEP)]));
    let agent = node.spawn_agent();
    let first = process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler);
    agent.kill();
    first.signal(Signal::KILL).unwrap();
    // Somebody else has the pid now, as far as the record can tell.
    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let record = node.path("run/scheduler.json");
    let text = std::fs::read_to_string(&record).unwrap();
    std::fs::write(
        &record,
        text.replace(
            &format!("\"pid\":{}", first.pid),
            &format!("\"pid\":{}", stranger.id()),
        ),
    )
    .unwrap();
    let _agent = node.spawn_agent();
    let report = control
        .report_where("a process of its own", |report| {
            is(report, ServiceName::Scheduler, ServiceState::Healthy)
                && status(report, ServiceName::Scheduler).pid != Some(first.pid)
        })
        .await;
    assert_ne!(
        status(&report, ServiceName::Scheduler).pid,
        i32::try_from(stranger.id()).ok()
    );
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was touched");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn an_agent_that_died_while_starting_a_service_finds_it_again() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    control.assign(node.assignment(vec![service(ServiceName::Scheduler, SLEEP)]));
    let agent = node.spawn_agent();
    let first = process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler);
    agent.kill();
    // As if it had not come to write the pid down.
    let record = node.path("run/scheduler.json");
    let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    value["process"] = serde_json::Value::Null;
    std::fs::write(&record, value.to_string()).unwrap();
    let _agent = node.spawn_agent();
    control.change(|_| {});
    let report = control
        .report_where("the new version", |report| {
            report.assignment_version == Some(2) && report.phase == AgentPhase::Running
        })
        .await;
    assert_eq!(process(&report, ServiceName::Scheduler), first);
}

#[tokio::test]
async fn without_control_services_run_and_a_restarted_agent_goes_on_from_its_disk() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    control.assign(node.assignment(vec![service(ServiceName::Scheduler, SLEEP)]));
    let agent = node.spawn_agent();
    let first = process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler);
    agent.kill();
    // Nobody listens there: control is gone.
    let text = std::fs::read_to_string(node.bootstrap()).unwrap();
    let gone = text.replace(&control.url, "http://127.0.0.1:9");
    let alone = node.root().join("alone.json");
    std::fs::write(&alone, gone).unwrap();
    let (_stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let agent = tokio::spawn(async move {
        updraft_agent::run(&alone, async {
            let _ = stopped.await;
        })
        .await
    });
    first.signal(Signal::KILL).unwrap();
    let record = || std::fs::read_to_string(node.path("run/scheduler.json")).unwrap_or_default();
    eventually("another process", || {
        let value: serde_json::Value = serde_json::from_str(&record()).unwrap_or_default();
        value["process"]["pid"]
            .as_i64()
            .is_some_and(|pid| pid != i64::from(first.pid))
    })
    .await;
    assert!(!agent.is_finished());
    agent.abort();
}

#[tokio::test]
async fn stopping_ends_the_whole_tree_dependents_first_and_reports_stopped() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut scheduler = service(
        ServiceName::Scheduler,
        "trap 'echo scheduler >> order; exit' TERM; sleep 1000 & setsid sleep 1000 & wait",
    );
    scheduler.after = vec![ServiceName::Broker];
    let broker = service(
        ServiceName::Broker,
        "trap 'echo broker >> order; exit' TERM; sleep 1000 & wait",
    );
    control.assign(node.assignment(vec![broker, scheduler]));
    let _agent = node.spawn_agent();
    let report = control.phase(AgentPhase::Running).await;
    let leader = process(&report, ServiceName::Scheduler);
    let members = || updraft_agent::process::Tree::read().members(leader);
    eventually("its children", || members().len() == 3).await;
    let tree = members();
    control.change(|assignment| assignment.power = NodePower::Stop);
    let report = control.phase(AgentPhase::Stopped).await;
    assert!(
        report
            .services
            .iter()
            .all(|status| status.state == ServiceState::Stopped && status.pid.is_none())
    );
    assert_eq!(
        std::fs::read_to_string(node.path("work/order")).unwrap(),
        "scheduler\nbroker\n"
    );
    eventually("the whole tree's end", || tree.iter().all(|id| !id.is_alive())).await;
    assert!(control.events().is_empty());

    // The same node starts again.
    control.change(|assignment| assignment.power = NodePower::Run);
    control.phase(AgentPhase::Running).await;
}

#[tokio::test]
async fn what_does_not_end_in_its_grace_is_killed_with_its_children() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut stubborn = service(
        ServiceName::Worker,
        "trap '' TERM; sleep 1000 & while true; do sleep 1; done",
    );
    stubborn.stop.grace_s = 1;
    control.assign(node.assignment(vec![stubborn]));
    let _agent = node.spawn_agent();
    let leader = process(&control.phase(AgentPhase::Running).await, ServiceName::Worker);
    eventually("its children", || {
        updraft_agent::process::Tree::read().members(leader).len() >= 2
    })
    .await;
    control.change(|assignment| assignment.power = NodePower::Stop);
    control.phase(AgentPhase::Stopped).await;
    control.event("service_killed").await;
    assert!(updraft_agent::process::Tree::read().members(leader).is_empty());
}

/// Does what it has to do still once it is asked to end, as a worker does.
fn finishing(task: &str) -> ServiceAssignment {
    let script = format!("trap '{task}; exit 0' TERM; while true; do sleep 0.1; done");
    let mut worker = service(ServiceName::Worker, &script);
    worker.stop.grace_s = 1;
    worker
}

fn asked_to_end_within(seconds: u32) -> impl FnOnce(&mut Assignment) {
    move |assignment| {
        assignment.power = NodePower::Stop;
        assignment.services[0].stop.grace_s = seconds;
    }
}

#[tokio::test]
async fn who_drains_outlasts_the_grace_of_a_stop_and_is_not_restarted_for_the_number() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    control.assign(node.assignment(vec![finishing("sleep 3")]));
    let _agent = node.spawn_agent();
    let before = process(&control.phase(AgentPhase::Running).await, ServiceName::Worker);
    control.change(|assignment| assignment.services[0].stop.grace_s = 2);
    let version = control.version();
    let report = control
        .report_where("the other number", |report| {
            report.assignment_version == Some(version)
        })
        .await;
    assert_eq!(process(&report, ServiceName::Worker), before);
    control.change(asked_to_end_within(60));
    control.phase(AgentPhase::Stopped).await;
    assert!(!was_killed(&control), "{:?}", control.events());
}

#[tokio::test]
async fn a_stop_of_the_cluster_cuts_a_drain_short_and_gives_its_own_grace_whole() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    control.assign(node.assignment(vec![finishing("sleep 2; touch later; sleep 1000")]));
    let _agent = node.spawn_agent();
    control.phase(AgentPhase::Running).await;
    control.change(asked_to_end_within(60));
    eventually("a while of draining", || node.path("work/later").exists()).await;
    let stopped_at = Instant::now();
    control.change(|assignment| assignment.services[0].stop.grace_s = 2);
    control.phase(AgentPhase::Stopped).await;
    assert!(
        stopped_at.elapsed() >= Duration::from_secs(2),
        "it had its time already"
    );
    assert!(was_killed(&control), "{:?}", control.events());
}

fn was_killed(control: &Control) -> bool {
    control
        .events()
        .iter()
        .any(|event| event.kind == "service_killed")
}

#[tokio::test]
async fn an_older_generation_is_refused() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut assignment = node.assignment(vec![service(ServiceName::Scheduler, SLEEP)]);
    assignment.generation = Generation(5);
    control.assign(assignment);
    let _agent = node.spawn_agent();
    control.phase(AgentPhase::Running).await;
    control.change(|assignment| {
        assignment.generation = Generation(4);
        assignment.power = NodePower::Stop;
    });
    control.change(|assignment| {
        assignment.generation = Generation(6);
        assignment.power = NodePower::Run;
    });
    let report = control
        .report_where("generation 6", |report| report.generation == Some(Generation(6)))
        .await;
    assert_eq!(report.phase, AgentPhase::Running);
    assert_eq!(status(&report, ServiceName::Scheduler).restarts, 0);
}

#[tokio::test]
async fn a_restart_that_was_asked_for_happens_once() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    control.assign(node.assignment(vec![
        service(ServiceName::Scheduler, SLEEP),
        service(ServiceName::Triggerer, SLEEP),
    ]));
    let _agent = node.spawn_agent();
    let before = control.phase(AgentPhase::Running).await;
    let triggerer = process(&before, ServiceName::Triggerer);
    let scheduler = process(&before, ServiceName::Scheduler);
    control.change(|assignment| assignment.services[0].restart_nonce = 1);
    let after = control
        .report_where("the restart", |report| {
            report.phase == AgentPhase::Running
                && status(report, ServiceName::Scheduler).pid != Some(scheduler.pid)
        })
        .await;
    assert_eq!(process(&after, ServiceName::Triggerer), triggerer);
    assert_eq!(status(&after, ServiceName::Scheduler).restarts, 0);
    assert!(control.events().is_empty());

    control.change(|assignment| assignment.services[1].enabled = false);
    let report = control
        .report_where("one service stopped", |report| {
            is(report, ServiceName::Triggerer, ServiceState::Stopped)
        })
        .await;
    assert_eq!(report.phase, AgentPhase::Running);
    assert!(is_gone(triggerer.pid));
}

#[tokio::test]
async fn terminating_the_agent_leaves_services_and_the_stop_file_ends_both() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    control.assign(node.assignment(vec![service(ServiceName::Scheduler, SLEEP)]));
    let agent = node.spawn_agent();
    let scheduler = process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler);
    agent.terminate();
    assert!(agent.exit().await.success());
    assert!(scheduler.is_alive());

    let agent = node.spawn_agent();
    std::fs::write(node.path("stop"), "").unwrap();
    assert!(agent.exit().await.success());
    assert!(!scheduler.is_alive());

    std::fs::remove_file(node.path("stop")).unwrap();
    let _agent = node.spawn_agent();
    control
        .report_where("another process", |report| {
            report.phase == AgentPhase::Running
                && status(report, ServiceName::Scheduler).pid != Some(scheduler.pid)
        })
        .await;
}

#[tokio::test]
async fn children_of_a_crashed_worker_finish_their_work_and_others_are_killed() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let with_child = |name| service(name, "sleep 1000 & echo $! > child-$0; wait");
    let mut worker = with_child(ServiceName::Worker);
    worker.argv.push("worker".to_owned());
    let mut triggerer = with_child(ServiceName::Triggerer);
    triggerer.argv.push("triggerer".to_owned());
    control.assign(node.assignment(vec![worker, triggerer]));
    let _agent = node.spawn_agent();
    let report = control.phase(AgentPhase::Running).await;
    let child = |name: &str| {
        std::fs::read_to_string(node.path(&format!("work/child-{name}")))
            .ok()
            .and_then(|pid| pid.trim().parse::<i32>().ok())
    };
    eventually("children", || {
        child("worker").is_some() && child("triggerer").is_some()
    })
    .await;
    let (task, other) = (child("worker").unwrap(), child("triggerer").unwrap());
    process(&report, ServiceName::Worker)
        .signal(Signal::KILL)
        .unwrap();
    process(&report, ServiceName::Triggerer)
        .signal(Signal::KILL)
        .unwrap();
    control
        .report_where("both again", |report| {
            report.phase == AgentPhase::Running && report.services.iter().all(|status| status.restarts == 1)
        })
        .await;
    eventually("the triggerer's child to be killed", || is_gone(other)).await;
    assert!(!is_gone(task), "a worker's task was killed");
    control.change(|assignment| assignment.power = NodePower::Stop);
    control.phase(AgentPhase::Stopped).await;
    eventually("the task to be killed", || is_gone(task)).await;
}

/// As root, services run as a user of their own and can reach neither the agent's files nor anything above them.
#[tokio::test]
async fn as_root_services_run_as_their_own_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let control = Control::start().await;
    let mut node = TestNode::new(&control);
    node.service_user = Some("nobody".to_owned());
    let script = "id -u > uid; id -G > groups; cat ../agent/identity.json > stolen; echo x > ../logs/mine; \
                  rm -f ../logs/scheduler.log; ln -sf /etc/shadow link; cat secret > copy; exec sleep 1000";
    let mut assignment = node.assignment(vec![service(ServiceName::Scheduler, script)]);
    assignment.directories = vec!["work/tmp".to_owned()];
    assignment.files = vec![FileAssignment {
        path: "work/secret".to_owned(),
        content: "of the service".to_owned(),
    }];
    control.assign(assignment);
    std::fs::set_permissions(node.root(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let _agent = node.spawn_agent();
    let scheduler = process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler);
    let work = |name: &str| std::fs::read_to_string(node.path(&format!("work/{name}"))).unwrap_or_default();
    eventually("the script", || work("copy") == "of the service").await;
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    assert_eq!(work("uid").trim(), nobody.uid.to_string());
    assert_eq!(work("groups").trim(), nobody.gid.to_string());
    assert_eq!(work("stolen"), "");
    assert_eq!(scheduler.uid(), Some(nobody.uid.as_raw()));
    assert!(
        node.path("logs/mine").exists(),
        "a service may keep logs of its own"
    );
    assert!(
        node.path("logs/scheduler.log").exists(),
        "a service must not remove the agent's log"
    );

    // A file the agent writes never follows a link that a service made.
    control.change(|assignment| {
        assignment.files.push(FileAssignment {
            path: "work/link".to_owned(),
            content: "ours".to_owned(),
        });
    });
    eventually("the file", || work("link") == "ours").await;
    assert!(!std::fs::read_to_string("/etc/shadow").unwrap().contains("ours"));

    let agent = nix::sys::stat::stat(&node.path("agent/assignment.json")).unwrap();
    assert_eq!((agent.st_uid, agent.st_mode & 0o777), (0, 0o600));
    let secret = nix::sys::stat::stat(&node.path("work/secret")).unwrap();
    assert_eq!(
        (secret.st_uid, secret.st_mode & 0o777),
        (nobody.uid.as_raw(), 0o600)
    );
    control.change(|assignment| assignment.power = NodePower::Stop);
    control.phase(AgentPhase::Stopped).await;
    assert!(!scheduler.is_alive());
}
