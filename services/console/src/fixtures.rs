//! Made-up clusters, people and operations: for the tests of pages and for the preview.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use indexmap::IndexMap;
use updraft_api::access::{AccessExplanation, AccessReason, AccessRuleView, ClusterPerson, Through};
use updraft_api::audit::{AuditActor, AuditEntry};
use updraft_api::boot_log::BootLogView;
use updraft_api::queues::QueueView;
use updraft_api::rest::{
    AgentView, ClusterView, ConfigOptionView, EventView, NodeView, OperationView, Page, Person, ServiceView,
    Severity,
};
use updraft_api::tokens::SessionView;
use updraft_authz::{Outcome, Tag, Target, Who};
use updraft_model::{
    AgentPhase, AuditActorKind, AuditId, AuditOutcome, BootstrapSpec, ClusterId, ClusterName, ClusterRole,
    ClusterSpec, DagFolder, DagSource, EnvironmentSpec, EventId, Failure, FolderSource, Generation, IdleStop,
    LogsSpec, NodeId, NodeRole, OperationId, OperationKind, OperationState, Phase, Power, QueueName, RuleId,
    Schedule, ServiceName, ServiceState, ServiceStatus, SessionId, Step, StepState, TenantRole, UserId,
};

use crate::frame::{Frame, Here, Theme, Viewer};
use crate::pages::access::Known;
use crate::pages::overview::{Observed, OverviewPage};
use crate::pages::sessions::Sessions;

/// What the overview can look like.
#[cfg(test)]
pub(crate) const SCENES: [&str; 5] = ["starting", "running", "degraded", "failed", "stopped"];

/// Stands still in tests.
pub(crate) fn now() -> DateTime<Utc> {
    if cfg!(test) {
        Utc.timestamp_opt(1_795_200_000, 0).single().unwrap_or_default()
    } else {
        Utc::now()
    }
}

fn earlier(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + number)
}

pub(crate) fn frame() -> Frame {
    let viewer = Viewer {
        name: "Ada Winter".into(),
        email: "ada@example.com".into(),
        tenant: "Example Analytics".into(),
        owner: true,
        operator: true,
        held_after_restore: false,
        elsewhere: true,
    };
    Frame {
        nonce: "bm9uY2U".into(),
        theme: Theme::System,
        viewer: Some(viewer),
        here: Here::Clusters,
        path: "/clusters".into(),
    }
}

pub(crate) fn member_frame() -> Frame {
    let mut frame = frame();
    if let Some(viewer) = &mut frame.viewer {
        viewer.owner = false;
        viewer.operator = false;
        viewer.elsewhere = false;
    }
    frame
}

#[cfg(test)]
pub(crate) fn stranger_frame() -> Frame {
    Frame {
        viewer: None,
        here: Here::Elsewhere,
        ..frame()
    }
}

pub(crate) fn failed() -> Phase {
    Phase::Failed { reason: failure() }
}

fn failure() -> Failure {
    Failure {
        code: "service_cannot_start".into(),
        message: "The scheduler ended five times within a minute (exit code 1).".into(),
        remedy:
            "Its last line names core.parallelism: set it to a number under Configuration, then try again."
                .into(),
    }
}

pub(crate) fn cluster(id: i64, name: &str) -> ClusterView {
    let config = IndexMap::from([("core.parallelism".to_owned(), "64".to_owned())]);
    ClusterView {
        id: ClusterId(id),
        name: name
            .parse::<ClusterName>()
            .unwrap_or_else(|_| unreachable!("fixtures have good names")),
        spec: ClusterSpec {
            runtime: "airflow-3.3.2".into(),
            aws_account: None,
            workers: 2,
            worker_concurrency: 4,
            schedule: Schedule::default(),
            stop_when_idle: IdleStop::default(),
            on_stop: None,
            metadata_database: None,
            broker: updraft_model::Broker::default(),
            worker_queues: "heavy=2,concurrency=1".parse().into_iter().collect(),
            dag_sources: vec![FolderSource {
                folder: DagFolder::default(),
                source: DagSource::ClusterBucket {
                    prefix: "dags/".into(),
                },
                ca_certificate: None,
            }],
            config,
            environment: EnvironmentSpec::default(),
            environment_variables: IndexMap::from([("REGION".to_owned(), "eu-west-1".to_owned())]),
            bootstrap: BootstrapSpec::default(),
            logs: LogsSpec::default(),
            tags: IndexMap::from([("env".to_owned(), "prod".to_owned())]),
        },
        generation: Generation(7),
        power: Power::Running,
        phase: Phase::Running,
        role: ClusterRole::Admin,
        airflow_url: format!("http://127.0.0.{id}:7701/airflow-webserver-{id}/"),
        queues: vec![QueueView {
            name: QueueName::default(),
            workers_wanted: 2,
            workers_ready: 2,
            min: 2,
            max: 2,
        }],
        nodes_ready: 4,
        nodes_wanted: 4,
        dag_location: format!("s3://updraft-c{id}/dags/"),
        dag_version: Some("sha256:3f9ac27bd0e14c5599aa".into()),
        created_at: earlier(864_000),
        updated_at: earlier(7_300),
        environment: None,
        upcoming: None,
        operation: None,
    }
}

/// One of each phase.
pub(crate) fn clusters() -> Vec<ClusterView> {
    let mut all = [
        cluster(1, "demo"),
        cluster(2, "billing"),
        cluster(3, "ml-features"),
        cluster(17, "nightly"),
        cluster(19, "sandbox"),
    ];
    all[1].phase = Phase::Starting {
        waiting_for: Some("waiting for worker 2 of 2 to report".into()),
    };
    all[1].nodes_ready = 3;
    all[2].phase = Phase::Degraded {
        reasons: vec!["worker-2 was lost and is being replaced".into()],
    };
    all[2].nodes_ready = 3;
    all[3].phase = Phase::Stopped;
    all[3].power = Power::Stopped;
    (all[3].nodes_ready, all[3].nodes_wanted) = (0, 0);
    all[4].phase = failed();
    all[4].dag_version = None;
    all[4].nodes_ready = 2;
    all.into()
}

pub(crate) fn operation(scene: &str) -> OperationView {
    let failing = scene == "failed";
    let running = matches!(scene, "running" | "starting");
    OperationView {
        id: OperationId(uuid(if failing { 901 } else { 900 })),
        cluster: ClusterId(1),
        kind: OperationKind::Start,
        state: match (failing, running) {
            (true, _) => OperationState::Failed,
            (_, true) => OperationState::Running,
            _ => OperationState::Succeeded,
        },
        generation: Generation(7),
        steps: steps(scene),
        failure: failing.then(failure),
        requested_by: Some("ada@example.com".into()),
        created_at: earlier(17),
        finished_at: (!running).then(|| earlier(1)),
    }
}

/// `(node, id, title, begins, ends)` in tenths of a second after the operation's begin.
const STEPS: [(&str, &str, &str, i64, i64); 17] = [
    ("", "database", "Make the metadata database", 0, 4),
    ("", "secrets", "Make keys", 4, 6),
    ("", "url", "Announce the URL", 150, 152),
    ("scheduler-1", "scheduler-1/node", "Launch node", 6, 14),
    (
        "scheduler-1",
        "scheduler-1/environment",
        "Prepare environment",
        14,
        19,
    ),
    ("scheduler-1", "scheduler-1/dags", "Deliver DAGs", 19, 24),
    ("scheduler-1", "scheduler-1/broker", "Start broker", 19, 23),
    ("scheduler-1", "scheduler-1/scheduler", "Start scheduler", 23, 96),
    (
        "scheduler-1",
        "scheduler-1/dag-processor",
        "Start dag-processor",
        23,
        104,
    ),
    ("scheduler-1", "scheduler-1/triggerer", "Start triggerer", 23, 111),
    ("web-1", "web-1/node", "Launch node", 6, 15),
    ("web-1", "web-1/environment", "Prepare environment", 15, 21),
    ("web-1", "web-1/api-server", "Start api-server", 21, 128),
    ("web-1", "web-1/warm", "Warm the execution API", 128, 149),
    ("worker-1", "worker-1/node", "Launch node", 7, 16),
    ("worker-1", "worker-1/environment", "Prepare environment", 16, 24),
    ("worker-1", "worker-1/worker", "Start worker", 24, 137),
];

fn steps(scene: &str) -> Vec<Step> {
    let cut = match scene {
        "starting" | "running" => 121,
        _ => 10_000,
    };
    let scale = if cut == 121 { 14 } else { 10 };
    STEPS
        .iter()
        .map(|step| one_step(scene, cut, scale, *step))
        .collect()
}

fn one_step(
    scene: &str,
    cut: i64,
    scale: i64,
    (node, id, title, from, to): (&str, &str, &str, i64, i64),
) -> Step {
    let at = |tenths: i64| earlier(17) + TimeDelta::milliseconds(tenths * scale * 10);
    let broken = scene == "failed" && id == "scheduler-1/scheduler";
    let begun = from < cut && !(scene == "failed" && matches!(id, "url" | "web-1/warm"));
    let state = match (broken, begun, to < cut && begun) {
        (true, ..) => StepState::Failed,
        (_, _, true) => StepState::Done,
        (_, true, _) => StepState::Running,
        _ => StepState::Pending,
    };
    let detail = match state {
        StepState::Failed => Some(
            "airflow.exceptions.AirflowConfigException: core.parallelism: could not parse 'many' as a number"
                .into(),
        ),
        StepState::Running => Some("waiting for its first healthy answer".into()),
        StepState::Pending | StepState::Done => None,
    };
    Step {
        id: id.into(),
        title: title.into(),
        node: None,
        node_label: (!node.is_empty()).then(|| node.to_owned()),
        state,
        started_at: (state != StepState::Pending).then(|| at(from)),
        finished_at: matches!(state, StepState::Done | StepState::Failed).then(|| at(to)),
        detail,
    }
}

fn service(name: ServiceName, pid: i32) -> ServiceStatus {
    ServiceStatus {
        name,
        state: ServiceState::Healthy,
        pid: Some(pid),
        started_at: Some(earlier(5_280)),
        restarts: 0,
        detail: None,
    }
}

pub(crate) fn boot_log() -> BootLogView {
    let text = "2026-11-22T14:02:11Z look around\n2026-11-22T14:02:11Z fetch agent\n2026-11-22T14:02:14Z fetch runtime airflow-3.3.2\n\
                2026-11-22T14:02:16Z FAILED: runtime is not what control named: sha256 0b5e73c9a1f04d52 instead of 9c1185a5c5e9fc54\n\
                2026-11-22T14:02:16Z FAILED: the node did not boot: it was to fetch runtime airflow-3.3.2\n";
    BootLogView {
        node: nodes()[2].id,
        label: "worker-1".to_owned(),
        text: Some(text.to_owned()),
        cut: false,
        missing: None,
    }
}

pub(crate) fn nodes() -> Vec<NodeView> {
    use ServiceName::{ApiServer, Broker, DagProcessor, Scheduler, Triggerer, Worker};
    let node = |number: u8, role, label: &str, names: &[ServiceName]| NodeView {
        id: NodeId(uuid(u128::from(number))),
        role,
        label: label.into(),
        queue: (role == NodeRole::Worker).then(QueueName::default),
        address: Some(format!("127.64.1.{number}")),
        off: false,
        has_boot_log: true,
        phase: Some(AgentPhase::Running),
        generation: Generation(7),
        dag_version: Some("sha256:3f9ac27bd0e14c5599aa".into()),
        services: names
            .iter()
            .zip(0..)
            .map(|(name, n)| service(*name, 20_000 + i32::from(number) * 100 + n))
            .collect(),
        created_at: earlier(5_300),
        last_report_at: Some(earlier(2)),
        cpu_percent: Some(f32::from(number) * 7.4),
        memory_bytes: Some(u64::from(number) * 241_000_000),
        agent: Some(AgentView {
            version: "0.1.0".into(),
            protocol: 2,
            release: Some("3f9ac27bd0e1".repeat(6)[..64].into()),
            not_replaced: None,
        }),
    };
    vec![
        node(
            1,
            NodeRole::Scheduler,
            "scheduler-1",
            &[Broker, Scheduler, DagProcessor, Triggerer],
        ),
        node(2, NodeRole::Web, "web-1", &[ApiServer]),
        node(3, NodeRole::Worker, "worker-1", &[Worker]),
        node(4, NodeRole::Worker, "worker-2", &[Worker]),
    ]
}

pub(crate) fn services() -> Vec<ServiceView> {
    let of_node = |node: NodeView| {
        let (id, label) = (node.id, node.label);
        node.services.into_iter().map(move |status| ServiceView {
            node: id,
            node_label: label.clone(),
            status,
        })
    };
    nodes().into_iter().flat_map(of_node).collect()
}

pub(crate) fn events() -> Vec<EventView> {
    let event = |id, seconds, node: Option<&str>, service, kind: &str, severity, message: &str| EventView {
        id: EventId(id),
        at: earlier(seconds),
        cluster: Some(ClusterId(1)),
        node: None,
        node_label: node.map(str::to_owned),
        service,
        kind: kind.into(),
        severity,
        message: message.into(),
    };
    use ServiceName::{ApiServer, Worker};
    vec![
        event(
            9,
            2,
            None,
            None,
            "phase_changed",
            Severity::Info,
            "The cluster is running.",
        ),
        event(
            8,
            3,
            Some("web-1"),
            Some(ApiServer),
            "service_healthy",
            Severity::Info,
            "The web pages answer.",
        ),
        event(
            7,
            640,
            Some("worker-2"),
            Some(Worker),
            "service_restarted",
            Severity::Warning,
            "The worker ended with signal 9 and was started again.",
        ),
        event(
            6,
            5_200,
            Some("worker-2"),
            None,
            "node_lost",
            Severity::Error,
            "worker-2 has not reported for 60 s; a new node takes its place.",
        ),
        event(
            5,
            7_300,
            None,
            None,
            "spec_changed",
            Severity::Info,
            "ada@example.com set core.parallelism to 64.",
        ),
    ]
}

pub(crate) fn audit() -> Vec<AuditEntry> {
    let line = |number: i64, action: &str, outcome, reason: Option<&str>, who: &str, kind| AuditEntry {
        id: AuditId(number),
        at: earlier(900 - number * 60),
        tenant: None,
        actor: AuditActor {
            kind,
            id: None,
            name: who.into(),
            credential: Some("session:01980000-0000-7000-8000-000000000001".into()),
        },
        action: action.into(),
        outcome,
        reason: reason.map(str::to_owned),
        target: Some("cluster:1".into()),
        target_name: Some("demo".into()),
        before: None,
        after: None,
        address: Some([192, 0, 2, 7].into()),
        user_agent: Some("<script>alert(1)</script>".into()),
        request_id: Some("01980000-0000-7000-8000-000000000002".into()),
    };
    let (person, nobody) = (AuditActorKind::Person, AuditActorKind::Nobody);
    let program = AuditActorKind::Service;
    let changed = AuditEntry {
        before: r#"{"workers": 1, "smtp.smtp_password": "(hidden)"}"#.parse().ok(),
        after: r#"{"workers": 3, "smtp.smtp_password": "(hidden)"}"#.parse().ok(),
        ..line(
            9,
            "cluster.update",
            AuditOutcome::Done,
            None,
            "ada@example.com",
            person,
        )
    };
    let (refused, reason) = (AuditOutcome::Refused, Some("wrong-credentials"));
    vec![
        changed,
        line(8, "sign_in.password", refused, reason, "bo@example.com", nobody),
        line(
            7,
            "cluster.delete",
            refused,
            Some("forbidden"),
            "bo@example.com",
            person,
        ),
        line(
            6,
            "cluster.start",
            AuditOutcome::Failed,
            Some("internal"),
            "chidi@example.com",
            person,
        ),
        line(
            5,
            "cluster.stop",
            AuditOutcome::Done,
            None,
            "ci@service.invalid",
            program,
        ),
    ]
}

pub(crate) fn people() -> Vec<Person> {
    let person = |number, name: &str, email: &str, tenant_role| Person {
        user: UserId(uuid(number)),
        email: email.into(),
        name: name.into(),
        tenant_role,
    };
    vec![
        person(701, "Ada Winter", "ada@example.com", TenantRole::Owner),
        person(702, "Bo Lindqvist", "bo@example.com", TenantRole::Member),
        person(703, "Chidi Okafor", "chidi@example.com", TenantRole::Member),
    ]
}

/// An owner, somebody by name, somebody by rule, and what can be offered.
pub(crate) fn known() -> Known {
    let person = |person: Person, role, through, granted| ClusterPerson {
        user: person.user,
        name: person.name,
        email: person.email,
        role,
        through,
        granted,
    };
    let by_rule = rules().into_iter().next().map(|rule| Through::Rule {
        id: rule.id,
        who: rule.who,
        target: rule.target,
    });
    let mut why = [
        (Some(ClusterRole::Admin), Some(Through::Owner), None),
        (
            Some(ClusterRole::User),
            Some(Through::Grant),
            Some(ClusterRole::User),
        ),
        (Some(ClusterRole::Admin), by_rule, None),
    ]
    .into_iter();
    let with_role: Vec<_> = people()
        .into_iter()
        .zip(&mut why)
        .map(|(one, (role, through, granted))| person(one, role, through, granted))
        .collect();
    let found = Page {
        items: with_role.clone(),
        next: None,
    };
    Known { with_role, found }
}

pub(crate) fn rules() -> Vec<AccessRuleView> {
    let rule = |number, who, role, target| AccessRuleView {
        id: RuleId(uuid(number)),
        who,
        role,
        target,
        created_by: Some("ada@example.com".into()),
        created_at: earlier(80_000),
    };
    let prod = Target::Tag(Tag {
        key: "env".into(),
        value: "prod".into(),
    });
    vec![
        rule(801, Who::Group("data-platform".into()), ClusterRole::Admin, prod),
        rule(
            802,
            Who::Domain("example.com".into()),
            ClusterRole::User,
            Target::EveryCluster,
        ),
        rule(
            803,
            Who::Everyone,
            ClusterRole::User,
            Target::Cluster(ClusterId(1)),
        ),
    ]
}

/// Of somebody in the group of the first rule.
pub(crate) fn explanation() -> AccessExplanation {
    let outcomes = [Outcome::Decides, Outcome::OtherPeople, Outcome::Holds];
    let reasons = rules()
        .into_iter()
        .zip(outcomes)
        .map(|(rule, outcome)| AccessReason {
            through: Through::Rule {
                id: rule.id,
                who: rule.who,
                target: rule.target,
            },
            role: rule.role,
            outcome,
        });
    AccessExplanation {
        cluster: ClusterId(1),
        user: UserId(uuid(703)),
        name: "Chidi Okafor".into(),
        email: "chidi@example.com".into(),
        role: Some(ClusterRole::Admin),
        reasons: reasons.collect(),
    }
}

pub(crate) fn options() -> Vec<ConfigOptionView> {
    let option = |key: &str, default: Option<&str>, description: &str, managed| ConfigOptionView {
        key: key.into(),
        default: default.map(str::to_owned),
        description: Some(description.into()),
        managed,
    };
    let mut options = vec![
        option(
            "api.base_url",
            Some(""),
            "The base url of the API server. Airflow cannot guess what domain or CNAME you are using.",
            true,
        ),
        option(
            "api.page_size",
            Some("50"),
            "Number of items shown on a page.",
            false,
        ),
        option(
            "core.default_timezone",
            Some("utc"),
            "Default timezone in case supplied date times are naive.",
            false,
        ),
        option(
            "core.executor",
            Some("LocalExecutor"),
            "The executor class that airflow should use.",
            true,
        ),
        option(
            "core.max_active_tasks_per_dag",
            Some("16"),
            "The maximum number of task instances allowed to run concurrently in each DAG.",
            false,
        ),
        option(
            "core.parallelism",
            Some("32"),
            "This defines the maximum number of task instances that can run concurrently per scheduler in Airflow, regardless of the worker count.",
            false,
        ),
    ];
    let many = (0..314).map(|n| option(&format!("section_{:02}.option_{n}", n / 14), Some("some default"), "A description of usual length that says what the option is good for and when one would change it.", n % 9 == 0));
    options.extend(many);
    options
}

#[cfg(test)]
pub(crate) fn overview(scene: &str) -> OverviewPage {
    overview_in(frame(), scene, now())
}

pub(crate) fn overview_in(frame: Frame, scene: &str, now: DateTime<Utc>) -> OverviewPage {
    let (mut cluster, mut services, mut events, operation) =
        (cluster(1, "demo"), services(), events(), operation(scene));
    match scene {
        "starting" => {
            cluster.phase = Phase::Starting {
                waiting_for: Some("waiting for web-1 to answer".into()),
            };
            cluster.operation = Some(operation.id);
            services[4].status.state = ServiceState::Starting;
            services[3].status.state = ServiceState::Starting;
        }
        "degraded" => {
            cluster.phase = Phase::Degraded {
                reasons: vec!["worker-2 was lost and is being replaced".into()],
            };
            services[6].status.state = ServiceState::BackingOff;
            services[6].status.restarts = 3;
            services[6].status.detail = Some("ended with exit code 137; starts again in 8 s".into());
        }
        "failed" => {
            cluster.phase = failed();
            services[1].status.state = ServiceState::BackingOff;
            services[1].status.restarts = 5;
        }
        "stopped" => {
            (cluster.phase, cluster.power) = (Phase::Stopped, Power::Stopped);
            services.clear();
            events.truncate(0);
        }
        _ => {}
    }
    let shown = (scene != "stopped").then_some(&operation);
    let nodes = nodes();
    let observed = Observed {
        cluster: &cluster,
        operation: shown,
        nodes: &nodes,
        services: &services,
        events: &events,
    };
    OverviewPage::new(frame, &observed, now)
}

/// The basics that every page must keep: language, title, one heading, landmarks, labels, nothing inline.
#[cfg(test)]
pub(crate) fn assert_accessible(html: &str) {
    assert!(
        html.starts_with("<!doctype html>\n<html lang=\"en\""),
        "language: {html}"
    );
    assert_eq!(html.matches("<h1").count(), 1, "one h1: {html}");
    assert_eq!(html.matches("<main").count(), 1, "one main: {html}");
    assert!(
        html.contains("<title>") && !html.contains("<title> ·"),
        "title: {html}"
    );
    assert!(html.contains(r##"href="#main""##), "skip link: {html}");
    for inline in [" style=", " onclick=", " onload=", "javascript:", "<style"] {
        assert!(!html.contains(inline), "{inline}: {html}");
    }
    for script in html.split("<script").skip(1) {
        assert!(script.contains("nonce="), "script without nonce: {script}");
    }
    assert_fields_are_labelled(html);
    assert_ids_are_unique(html);
}

#[cfg(test)]
fn assert_fields_are_labelled(html: &str) {
    for tag in ["<input", "<select", "<textarea"] {
        for field in html.split(tag).skip(1).filter_map(|rest| rest.split('>').next()) {
            let exempt = field.contains(r#"type="hidden""#) || field.contains("aria-label=");
            let wrapped = field.contains(r#"type="radio""#) || field.contains(r#"type="checkbox""#);
            let id = field
                .split(" id=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            let labelled = id.is_some_and(|id| html.contains(&format!("for=\"{id}\"")));
            assert!(exempt || wrapped || labelled, "no label for {tag}{field}");
        }
    }
}

#[cfg(test)]
fn assert_ids_are_unique(html: &str) {
    let mut seen = std::collections::HashSet::new();
    for id in html
        .split(" id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
    {
        assert!(seen.insert(id), "id {id} is used twice: {html}");
    }
}

/// One's own, here and on another machine.
pub(crate) fn sessions() -> Sessions {
    let session = |number: u128, current, program: &str| SessionView {
        id: SessionId(uuid(number)),
        current,
        address: Some("192.0.2.7".into()),
        user_agent: Some(program.into()),
        provider: None,
        created_at: earlier(7200),
        used_at: Some(earlier(60)),
        expires_at: now() + TimeDelta::hours(10),
    };
    let listed = vec![
        session(1, true, "Firefox/140.0"),
        session(2, false, "updraft/0.1.0"),
    ];
    Sessions::new(listed, now())
}
