//! A metadata database that the tenant brings, as real processes: nothing that is given the way to it starts before it was found good.

use updraft_api::agent::{
    Assignment, MetadataAssignment, MetadataOutcome, MetadataRefusal, Report, ServiceAssignment,
};
use updraft_model::{AgentPhase, ServiceName, ServiceState, StepState};

use crate::support::{Control, TestNode, process, service, status};

const DSN: &str = "postgresql://ada:planted-77c1@127.0.0.1:5999/airflow";

/// Looked at by a shell, as the test says.
fn database(digest: &str, script: &str) -> MetadataAssignment {
    let env = [
        ("PATH", "/usr/bin:/bin"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", DSN),
    ];
    MetadataAssignment {
        digest: digest.to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 5999,
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

/// A service that is given the way to it.
fn waiting() -> ServiceAssignment {
    let mut service = service(ServiceName::ApiServer, "exec sleep 1000");
    service.after_metadata = true;
    service
}

fn with(node: &TestNode, database: MetadataAssignment) -> Assignment {
    let mut assignment = node.assignment(vec![waiting()]);
    assignment.dags.outbound_allow = vec!["127.0.0.1:5999".to_owned()];
    assignment.metadata = Some(database);
    assignment
}

fn refusal(report: &Report) -> Option<(MetadataRefusal, String)> {
    match report.metadata.as_ref()?.outcome.clone() {
        MetadataOutcome::Refused { cause, message } => Some((cause, message)),
        MetadataOutcome::Running | MetadataOutcome::Done => None,
    }
}

#[tokio::test]
async fn nothing_starts_with_a_database_that_is_refused_and_the_password_is_told_nobody() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let answer = r#"echo '{"state":"refused","cause":"in_use","message":"Of planted-77c1, another'"'"'s."}'"#;
    control.assign(with(&node, database("refused", answer)));
    let _agent = node.spawn_agent();
    let report = control
        .report_where("a refused database", |report| refusal(report).is_some())
        .await;
    assert_eq!(
        refusal(&report),
        Some((MetadataRefusal::InUse, "Of ***, another's.".to_owned()))
    );
    assert_eq!(report.phase, AgentPhase::Preparing);
    assert_eq!(
        status(&report, ServiceName::ApiServer).state,
        ServiceState::Waiting
    );
    let step = report.steps.iter().find(|step| step.id == "metadata").unwrap();
    assert_eq!(step.state, StepState::Failed);
    let event = control.event("metadata_database_refused").await;
    assert!(event.message.ends_with("Of ***, another's."), "{}", event.message);

    // Another way to it is looked at at once.
    control.change(|assignment| assignment.metadata = Some(database("good", "echo '{\"state\":\"done\"}'")));
    let report = control.phase(AgentPhase::Running).await;
    assert_eq!(report.metadata.unwrap().outcome, MetadataOutcome::Done);
}

#[tokio::test]
async fn an_address_that_is_not_opened_is_never_connected_to() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut assignment = with(
        &node,
        database("private", "touch looked; echo '{\"state\":\"done\"}'"),
    );
    assignment.dags.outbound_allow = vec!["127.0.0.1:5432".to_owned()];
    control.assign(assignment);
    let _agent = node.spawn_agent();
    let report = control
        .report_where("a refused address", |report| refusal(report).is_some())
        .await;
    assert_eq!(refusal(&report).unwrap().0, MetadataRefusal::Forbidden);
    assert!(!node.path("work/looked").exists());
}

#[tokio::test]
async fn what_another_node_prepares_is_waited_for_and_then_good_for_every_agent_of_this_one() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let look =
        "echo x >> looks; test -e prepared && echo '{\"state\":\"done\"}' || echo '{\"state\":\"waiting\"}'";
    control.assign(with(&node, database("shared", look)));
    let agent = node.spawn_agent();
    let looks = || std::fs::read_to_string(node.path("work/looks")).map_or(0, |looks| looks.lines().count());
    crate::support::eventually("two looks", || looks() >= 2).await;
    std::fs::write(node.path("work/prepared"), "").unwrap();
    let running = process(&control.phase(AgentPhase::Running).await, ServiceName::ApiServer);

    agent.kill();
    let before = looks();
    let _agent = node.spawn_agent();
    let report = control.next_generation().await;
    assert_eq!(process(&report, ServiceName::ApiServer), running);
    assert_eq!(looks(), before);
}
