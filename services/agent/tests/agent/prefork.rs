//! Services forked from a parent that two nodes share, with a real Python parent that speaks the protocol.

use std::path::Path;

use crate::support::{Control, TestNode, eventually, is, process, service, status};
use rustix::process::Signal;
use updraft_agent::process::ProcessId;
use updraft_api::agent::{Assignment, NodePower};
use updraft_model::{AgentPhase, ServiceName, ServiceState};

/// An environment whose Python knows our stand-in for the parent.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("env/bin")).unwrap();
        let asked = std::process::Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output();
        let python = String::from_utf8(asked.unwrap().stdout).unwrap();
        std::os::unix::fs::symlink(python.trim(), dir.path().join("env/bin/python")).unwrap();
        Self { dir }
    }

    fn node(&self, control: &Control) -> TestNode {
        let mut node = TestNode::new(control);
        node.shared_dir = self.dir.path().join("shared");
        node
    }

    fn assignment(&self, node: &TestNode, script: &str) -> Assignment {
        let mut assignment = node.assignment(vec![service(ServiceName::Scheduler, script)]);
        assignment.services[0].prefork = true;
        assignment.environment_dir = self.dir.path().join("env").to_string_lossy().into_owned();
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agent/support/python");
        assignment
            .parent
            .env
            .insert("PYTHONPATH".to_owned(), modules.to_string_lossy().into_owned());
        assignment
            .parent
            .env
            .insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned());
        assignment
    }

    fn parent(&self) -> Option<ProcessId> {
        let entries = std::fs::read_dir(self.dir.path().join("shared")).ok()?;
        let record = entries
            .flatten()
            .find(|entry| entry.path().extension().is_some_and(|kind| kind == "json"))?;
        let text = std::fs::read_to_string(record.path()).ok()?;
        serde_json::from_value(serde_json::from_str::<serde_json::Value>(&text).ok()?["process"].clone()).ok()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(parent) = self.parent() {
            parent.signal(Signal::KILL).unwrap();
        }
    }
}

const NAMED: &str = "echo $FORKED_BY > parent; exec sleep 1000";

fn forked_by(node: &TestNode) -> Option<i32> {
    std::fs::read_to_string(node.path("work/parent"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[tokio::test]
async fn nodes_of_one_machine_fork_from_one_parent_and_the_last_one_ends_it() {
    let machine = Machine::new();
    let (first, second) = (Control::start().await, Control::start().await);
    let nodes = [machine.node(&first), machine.node(&second)];
    first.assign(machine.assignment(&nodes[0], NAMED));
    second.assign(machine.assignment(&nodes[1], NAMED));
    let _agents = nodes.each_ref().map(TestNode::spawn_agent);
    let report = first.phase(AgentPhase::Running).await;
    second.phase(AgentPhase::Running).await;
    eventually("both to say who forked them", || {
        nodes.iter().all(|node| forked_by(node).is_some())
    })
    .await;
    let parent = machine.parent().unwrap();
    assert!(nodes.iter().all(|node| forked_by(node) == Some(parent.pid)));
    assert!(
        report
            .steps
            .iter()
            .any(|step| step.id == "airflow" && step.finished_at.is_some())
    );

    first.change(|assignment| assignment.power = NodePower::Stop);
    first.phase(AgentPhase::Stopped).await;
    assert!(parent.is_alive(), "the other node still needs the parent");
    second.change(|assignment| assignment.power = NodePower::Stop);
    second.phase(AgentPhase::Stopped).await;
    eventually("the parent's end", || !parent.is_alive()).await;
}

#[tokio::test]
async fn forked_services_are_adopted_and_say_how_they_ended() {
    let machine = Machine::new();
    let control = Control::start().await;
    let node = machine.node(&control);
    control.assign(machine.assignment(&node, "trap 'exit 7' USR1; while true; do sleep 0.05; done"));
    let agent = node.spawn_agent();
    let first = process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler);
    agent.kill();
    let _agent = node.spawn_agent();
    control.change(|_| {});
    let report = control
        .report_where("the new version", |report| {
            report.assignment_version == Some(2) && report.phase == AgentPhase::Running
        })
        .await;
    assert_eq!(process(&report, ServiceName::Scheduler), first);
    first.signal(Signal::USR1).unwrap();
    assert_eq!(
        control.event("service_restarted").await.message,
        "scheduler ended with status 7 and is started again."
    );
    // Whoever stops the services ends the parent, though another agent started it.
    let parent = machine.parent().unwrap();
    control.change(|assignment| assignment.power = NodePower::Stop);
    control.phase(AgentPhase::Stopped).await;
    eventually("the parent's end", || !parent.is_alive()).await;
}

#[tokio::test]
async fn the_parents_end_touches_no_service_and_another_one_takes_over() {
    let machine = Machine::new();
    let control = Control::start().await;
    let node = machine.node(&control);
    control.assign(machine.assignment(&node, NAMED));
    let _agent = node.spawn_agent();
    let first = process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler);
    let parent = machine.parent().unwrap();
    parent.signal(Signal::KILL).unwrap();
    eventually("the parent's end", || !parent.is_alive()).await;
    assert!(first.is_alive());
    first.signal(Signal::KILL).unwrap();
    control
        .report_where("the service again", |report| {
            is(report, ServiceName::Scheduler, ServiceState::Healthy)
                && status(report, ServiceName::Scheduler).pid != Some(first.pid)
        })
        .await;
    let other = machine.parent().unwrap();
    eventually("it to say who forked it", || forked_by(&node) == Some(other.pid)).await;
    control.change(|assignment| assignment.power = NodePower::Stop);
    control.phase(AgentPhase::Stopped).await;
}

#[tokio::test]
async fn a_parent_that_cannot_start_is_done_without() {
    let machine = Machine::new();
    let control = Control::start().await;
    let node = machine.node(&control);
    let mut assignment = machine.assignment(&node, NAMED);
    assignment
        .parent
        .env
        .insert("BROKEN".to_owned(), "yes".to_owned());
    control.assign(assignment);
    let _agent = node.spawn_agent();
    control.phase(AgentPhase::Running).await;
    control.event("prefork_failed").await;
    assert_eq!(forked_by(&node), None);
}

#[tokio::test]
async fn another_configuration_while_the_parent_imports_is_no_failure() {
    let machine = Machine::new();
    let control = Control::start().await;
    let node = machine.node(&control);
    let mut assignment = machine.assignment(&node, NAMED);
    let never = machine.dir.path().join("never").to_string_lossy().into_owned();
    assignment.parent.env.insert("SLOW".to_owned(), never);
    control.assign(assignment);
    let _agent = node.spawn_agent();
    eventually("a parent that imports", || machine.parent().is_some()).await;
    let first = machine.parent().unwrap();
    control.change(|assignment| {
        assignment.parent.env.remove("SLOW");
    });
    control.phase(AgentPhase::Running).await;
    eventually("the first parent's end", || !first.is_alive()).await;
    eventually("it to say who forked it", || forked_by(&node).is_some()).await;
    assert_eq!(forked_by(&node), machine.parent().map(|parent| parent.pid));
    assert!(
        control
            .events()
            .iter()
            .all(|event| event.kind != "prefork_failed")
    );
}

#[tokio::test]
async fn a_stop_while_the_parent_imports_leaves_none_behind() {
    let machine = Machine::new();
    let control = Control::start().await;
    let node = machine.node(&control);
    let mut assignment = machine.assignment(&node, NAMED);
    let never = machine.dir.path().join("never").to_string_lossy().into_owned();
    assignment.parent.env.insert("SLOW".to_owned(), never);
    control.assign(assignment);
    let _agent = node.spawn_agent();
    eventually("a parent that imports", || machine.parent().is_some()).await;
    let parent = machine.parent().unwrap();
    control.change(|assignment| assignment.power = NodePower::Stop);
    control.phase(AgentPhase::Stopped).await;
    eventually("the parent's end", || !parent.is_alive()).await;
    assert!(
        control
            .events()
            .iter()
            .all(|event| event.kind != "prefork_failed")
    );
}

#[tokio::test]
async fn nodes_with_other_configurations_have_other_parents() {
    let machine = Machine::new();
    let (first, second) = (Control::start().await, Control::start().await);
    let nodes = [machine.node(&first), machine.node(&second)];
    first.assign(machine.assignment(&nodes[0], NAMED));
    let mut other = machine.assignment(&nodes[1], NAMED);
    other
        .parent
        .env
        .insert("CONFIGURED".to_owned(), "otherwise".to_owned());
    second.assign(other);
    let _agents = nodes.each_ref().map(TestNode::spawn_agent);
    first.phase(AgentPhase::Running).await;
    second.phase(AgentPhase::Running).await;
    eventually("both to say who forked them", || {
        nodes.iter().all(|node| forked_by(node).is_some())
    })
    .await;
    let parents = nodes
        .each_ref()
        .map(|node| ProcessId::of(forked_by(node).unwrap()).unwrap());
    assert_ne!(parents[0], parents[1]);
    for control in [&first, &second] {
        control.change(|assignment| assignment.power = NodePower::Stop);
        control.phase(AgentPhase::Stopped).await;
    }
    eventually("the parents' end", || {
        parents.iter().all(|parent| !parent.is_alive())
    })
    .await;
    assert!(first.events().is_empty() && second.events().is_empty());
}
