use secrecy::SecretString;
use updraft_api::agent::{Assignment, HealthCheck, ServiceAssignment};
use updraft_app::LogPlace;
use updraft_model::{
    Broker, ClusterId, ClusterSpec, CredentialConfig, Generation, NodeId, NodeRole, QueueName, ServiceName,
};
use updraft_provider::StorageAccess;
use updraft_runtimes::Catalogue;
use updraft_store::credentials::OpenCredential;

use super::super::{AssignmentInputs, BroughtDatabase, ClusterSecrets, DagInputs, NodePlace};
use super::render;

fn rendered(spec: &ClusterSpec, role: NodeRole, generation: i64) -> Assignment {
    rendered_of(spec, role, generation, None, &DagInputs::default())
}

fn rendered_in(spec: &ClusterSpec, role: NodeRole, generation: i64, environment: Option<&str>) -> Assignment {
    rendered_of(spec, role, generation, environment, &DagInputs::default())
}

fn rendered_with(spec: &ClusterSpec, role: NodeRole, generation: i64, dags: &DagInputs) -> Assignment {
    rendered_of(spec, role, generation, None, dags)
}

fn rendered_of(
    spec: &ClusterSpec,
    role: NodeRole,
    generation: i64,
    environment: Option<&str>,
    dags: &DagInputs,
) -> Assignment {
    rendered_to(
        spec,
        role,
        generation,
        (environment, dags),
        &LogPlace::own(storage()),
    )
}

fn rendered_to(
    spec: &ClusterSpec,
    role: NodeRole,
    generation: i64,
    (environment, dags): (Option<&str>, &DagInputs),
    logs: &LogPlace,
) -> Assignment {
    rendered_holding(spec, role, generation, (environment, dags), (logs, None))
}

/// With the certificates that the installation's metadata server is held to.
fn rendered_holding(
    spec: &ClusterSpec,
    role: NodeRole,
    generation: i64,
    (environment, dags): (Option<&str>, &DagInputs),
    (logs, metadata_authority): (&LogPlace, Option<&str>),
) -> Assignment {
    rendered_as(
        spec,
        role,
        generation,
        (environment, dags),
        (logs, metadata_authority),
        |_| {},
    )
}

/// With what else is other than usual.
fn rendered_as(
    spec: &ClusterSpec,
    role: NodeRole,
    generation: i64,
    (environment, dags): (Option<&str>, &DagInputs),
    (logs, metadata_authority): (&LogPlace, Option<&str>),
    change: impl FnOnce(&mut AssignmentInputs<'_>),
) -> Assignment {
    let secret = || SecretString::from("secret");
    let path = |name: &str| format!("/nodes/1/{name}");
    let catalogue = Catalogue::embedded().unwrap();
    let mut inputs = AssignmentInputs {
        cluster: ClusterId(1),
        generation: Generation(generation),
        spec,
        node: NodeId(uuid::Uuid::nil()),
        role,
        ordinal: 1,
        queue: Some(QueueName::default()).filter(|_| role == NodeRole::Worker),
        run: true,
        drains: false,
        build: None,
        trial: None,
        requirements_file: None,
        place: NodePlace {
            address: "127.64.0.1".into(),
            node_dir: "/nodes/1".into(),
            shared_dir: path("shared"),
            environment_dir: path("environment"),
            environment: None,
            environment_key: environment.map(str::to_owned),
            plugins_dir: environment.map(|digest| format!("/environments/{digest}/plugins")),
            broker_binary: path("valkey-server"),
            rabbitmq_binary: path("rabbitmq-server"),
        },
        peers: &[],
        secrets: &ClusterSecrets {
            dsn: "postgresql://ada:p%40ss@db.example.com:6432/airflow"
                .to_owned()
                .into(),
            brought: spec.metadata_database.clone().map(|place| BroughtDatabase {
                place,
                authority: "CERTIFICATES".to_owned().into(),
                owner: "the-mark".to_owned().into(),
            }),
            fernet_key: secret(),
            reencryption: None,
            jwt_secret: secret(),
            broker_password: secret(),
            tasks: Vec::new(),
        },
        metadata_authority,
        storage: &storage(),
        logs,
        log_disk_bytes: 1 << 30,
        dags,
        airflow_keys: &[],
        base_url: "http://127.0.0.2:7701/airflow-webserver-1/".into(),
        restart_nonce: &|_| 0,
        enabled: &|_| true,
    };
    change(&mut inputs);
    render(catalogue.get(&spec.runtime).unwrap(), &inputs).unwrap()
}

#[test]
fn a_tag_changes_nothing_of_what_a_node_runs() {
    let untagged: ClusterSpec = serde_json::from_value(serde_json::json!({
        "runtime": "airflow-3.3.2",
        "dag_sources": [{"source": {"kind": "cluster_bucket", "prefix": "dags/"}}],
    }))
    .unwrap();
    let tagged = ClusterSpec {
        tags: [("env".to_owned(), "prod".to_owned())].into(),
        ..untagged.clone()
    };
    for role in [NodeRole::Scheduler, NodeRole::Web, NodeRole::Worker] {
        let before = rendered(&untagged, role, 1);
        let after = rendered(&tagged, role, 2);
        assert!(!before.services.is_empty() && after.generation == Generation(2));
        let same = Assignment {
            generation: before.generation,
            ..after
        };
        assert_eq!(
            serde_json::to_value(&same).unwrap(),
            serde_json::to_value(&before).unwrap()
        );
    }
    // The comparison sees what does restart services.
    let other = ClusterSpec {
        config: [("core.parallelism".to_owned(), "4".to_owned())].into(),
        ..untagged.clone()
    };
    let digests = |spec: &ClusterSpec| {
        let services = rendered(spec, NodeRole::Scheduler, 1).services;
        services
            .into_iter()
            .map(|service| service.digest)
            .collect::<Vec<_>>()
    };
    assert_ne!(digests(&untagged), digests(&other));
    assert_eq!(digests(&untagged), digests(&tagged));
}

#[test]
fn tasks_of_a_worker_that_leaves_a_running_cluster_have_a_day_and_nothing_else_changes() {
    let spec = spec_with(&serde_json::json!([{"source": {"kind": "push"}}]));
    let (dags, logs) = (DagInputs::default(), LogPlace::own(storage()));
    let services = |role, run, drains| {
        let leaves = |inputs: &mut AssignmentInputs<'_>| (inputs.run, inputs.drains) = (run, drains);
        rendered_as(&spec, role, 1, (None, &dags), (&logs, None), leaves).services
    };
    for role in [NodeRole::Scheduler, NodeRole::Web, NodeRole::Worker] {
        let stays = services(role, true, false);
        let mut expected = stays.clone();
        for service in &mut expected {
            assert!(service.stop.grace_s <= 600, "{}", service.name);
            if service.name == ServiceName::Worker {
                service.stop.grace_s = 24 * 3600;
            }
        }
        let text = |services: &[ServiceAssignment]| serde_json::to_value(services).unwrap();
        assert_eq!(text(&services(role, false, true)), text(&expected));
        assert_eq!(
            text(&services(role, false, false)),
            text(&stays),
            "the cluster stops"
        );
    }
}

fn spec_with(sources: &serde_json::Value) -> ClusterSpec {
    serde_json::from_value(serde_json::json!({"runtime": "airflow-3.3.2", "dag_sources": sources})).unwrap()
}

fn git_token(host: &str) -> DagInputs {
    let credential = OpenCredential {
        config: CredentialConfig::GitToken {
            host: host.into(),
            username: "me".into(),
        },
        secret: "very secret".into(),
    };
    DagInputs {
        credentials: [("github".parse().unwrap(), credential)].into(),
        ..DagInputs::default()
    }
}

#[test]
fn other_dag_sources_a_pin_and_a_sync_restart_no_service() {
    let before = spec_with(&serde_json::json!([{"source": {"kind": "cluster_bucket", "prefix": "dags/"}}]));
    let after = spec_with(&serde_json::json!([{"folder": "a", "source": {"kind": "push"}}]));
    let asked = DagInputs {
        pinned: Some("ab".into()),
        sync_nonce: 7,
        ..DagInputs::default()
    };
    for role in [NodeRole::Scheduler, NodeRole::Web, NodeRole::Worker] {
        let (one, other) = (rendered(&before, role, 1), rendered_with(&after, role, 2, &asked));
        assert_eq!(
            serde_json::to_value(&one.services).unwrap(),
            serde_json::to_value(&other.services).unwrap()
        );
        assert_eq!(other.dags.pinned.as_deref(), Some("ab"));
        assert_eq!(other.dags.sync_nonce, 7);
    }
}

#[test]
fn another_session_of_a_log_buckets_role_restarts_no_service_and_reaches_agent_and_web_node() {
    let spec = spec_with(&serde_json::json!([{"source": {"kind": "push"}}]));
    let told = |role, session: &str| {
        let access = StorageAccess {
            session_token: Some(session.into()),
            ..storage()
        };
        let place = LogPlace {
            foreign: true,
            ..LogPlace::own(access)
        };
        let assignment = rendered_to(&spec, role, 1, (None, &DagInputs::default()), &place);
        (
            serde_json::to_value(&assignment.services).unwrap(),
            serde_json::to_value(&assignment.files).unwrap(),
            serde_json::to_value(&assignment.logs).unwrap(),
        )
    };
    for role in [NodeRole::Scheduler, NodeRole::Web, NodeRole::Worker] {
        let (services, files, logs) = told(role, "first-session");
        let (same, other_files, other_logs) = told(role, "second-session");
        assert_eq!(services, same, "{role}");
        assert_eq!(logs["session_token"], "first-session");
        assert_eq!(other_logs["session_token"], "second-session");
        assert!(!services.to_string().contains("first-session"));
        assert_eq!(files != other_files, role == NodeRole::Web, "{role}");
    }
}

#[test]
fn only_the_resolving_node_is_told_of_sources() {
    let source = serde_json::json!([{"folder": "a", "source": {"kind": "push"}}]);
    for (role, sources) in [
        (NodeRole::Scheduler, 1),
        (NodeRole::Web, 0),
        (NodeRole::Worker, 0),
    ] {
        let dags = rendered(&spec_with(&source), role, 1).dags;
        assert_eq!((dags.resolver, dags.sources.len()), (sources == 1, sources));
    }
}

#[test]
fn a_token_is_handed_out_for_its_own_host_only() {
    let source = serde_json::json!([
        {"source": {"kind": "git", "url": "https://github.com/a/b", "credential": "github"}},
    ]);
    let told = |host: &str| {
        let dags = rendered_with(&spec_with(&source), NodeRole::Scheduler, 1, &git_token(host)).dags;
        serde_json::to_value(&dags.sources[0]).unwrap()
    };
    assert_eq!(told("github.com")["from"]["credential"]["token"], "very secret");
    assert!(told("github.com.example")["from"]["credential"].is_null());
}

#[test]
fn another_environment_restarts_all_but_the_broker() {
    let spec: ClusterSpec = serde_json::from_value(serde_json::json!({
        "runtime": "airflow-3.3.2",
        "dag_sources": [{"source": {"kind": "cluster_bucket", "prefix": "dags/"}}],
    }))
    .unwrap();
    let changed = |role| {
        let services = |environment| rendered_in(&spec, role, 1, environment).services;
        let (before, after) = (services(None), services(Some("another")));
        let pairs = before.into_iter().zip(after);
        let changed = pairs.filter(|(before, after)| before.digest != after.digest);
        changed.map(|(service, _)| service.name).collect::<Vec<_>>()
    };
    assert_eq!(changed(NodeRole::Worker), [ServiceName::Worker]);
    let on_scheduler = changed(NodeRole::Scheduler);
    assert!(on_scheduler.contains(&ServiceName::Scheduler) && !on_scheduler.contains(&ServiceName::Broker));
}

fn storage() -> StorageAccess {
    StorageAccess {
        endpoint: "http://127.0.0.1:1".into(),
        region: "us-east-1".into(),
        bucket: "updraft-c1".into(),
        access_key: "key".into(),
        secret_key: "secret".into(),
        session_token: None,
    }
}

const SYNC: &str = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN";

/// With a metadata database of the tenant's own.
fn bringing(sslmode: &str) -> ClusterSpec {
    serde_json::from_value(serde_json::json!({
        "runtime": "airflow-3.3.2",
        "dag_sources": [{"source": {"kind": "push"}}],
        "metadata_database":
            {"host": "db.example.com", "port": 6432, "database": "airflow", "user": "ada", "sslmode": sslmode},
    }))
    .unwrap()
}

#[test]
fn a_brought_database_is_looked_at_before_what_is_given_the_way_to_it() {
    for (role, waiting, migrates) in [
        (
            NodeRole::Scheduler,
            &["scheduler", "dag-processor", "triggerer"][..],
            true,
        ),
        (NodeRole::Web, &["api-server"][..], false),
    ] {
        let assignment = rendered(&bringing("require"), role, 1);
        let look = assignment.metadata.unwrap();
        assert_eq!((look.host.as_str(), look.port), ("db.example.com", 6432));
        assert!(
            !look.argv.iter().any(|word| word.contains("p%40ss")),
            "a command line is public"
        );
        assert_eq!(
            look.env["UPDRAFT_METADATA"].contains("migrate\":[\"airflow"),
            migrates
        );
        for service in &assignment.services {
            let waits = waiting.contains(&service.name.as_str());
            assert_eq!(service.after_metadata, waits, "{}", service.name);
            assert_eq!(service.env.contains_key(&format!("{SYNC}_ASYNC")), waits);
        }
        assert!(!format!("{:?}", rendered(&bringing("require"), role, 1)).contains("p%40ss"));
    }
}

#[test]
fn workers_are_told_nothing_of_a_brought_database() {
    let text = serde_json::to_string(&rendered(&bringing("verify-full"), NodeRole::Worker, 1)).unwrap();
    for secret in ["p%40ss", "db.example.com", "CERTIFICATES", "the-mark"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn both_of_airflows_drivers_are_told_how_the_connection_is_secured() {
    let verified = rendered(&bringing("verify-full"), NodeRole::Web, 1);
    let env = &verified.services[0].env;
    assert_eq!(
        env[SYNC],
        "postgresql://ada:p%40ss@db.example.com:6432/airflow?sslmode=verify-full\
         &sslrootcert=/nodes/1/work/.postgresql/root.crt"
    );
    assert_eq!(
        env[&format!("{SYNC}_ASYNC")],
        "postgresql+asyncpg://ada:p%40ss@db.example.com:6432/airflow?ssl=verify-full"
    );
    let certificates = |assignment: &Assignment| {
        let mut files = assignment.files.iter();
        files.any(|file| file.path == "work/.postgresql/root.crt" && file.content == "CERTIFICATES")
    };
    assert!(certificates(&verified));
    assert!(verified.directories.contains(&"work/.postgresql".to_owned()));
    // libpq would hold a server to certificates that it finds there.
    assert!(!certificates(&rendered(&bringing("require"), NodeRole::Web, 1)));
}

#[test]
fn clusters_with_a_database_of_ours_hold_its_server_to_the_installations_certificates() {
    let mut spec = bringing("require");
    spec.metadata_database = None;
    let told = |spec: &ClusterSpec, role| {
        let (dags, logs) = (DagInputs::default(), LogPlace::own(storage()));
        rendered_holding(spec, role, 1, (None, &dags), (&logs, Some("THEIRS")))
    };
    for role in [NodeRole::Scheduler, NodeRole::Web] {
        let assignment = told(&spec, role);
        let file = assignment
            .files
            .iter()
            .find(|file| file.path == "work/.postgresql/root.crt");
        assert_eq!(file.unwrap().content, "THEIRS");
        assert!(assignment.directories.contains(&"work/.postgresql".to_owned()));
        assert!(assignment.metadata.is_none(), "nobody has to look at it first");
        let given: Vec<_> = assignment
            .services
            .iter()
            .filter(|one| one.env.contains_key(SYNC))
            .collect();
        assert!(!given.is_empty());
        for service in given {
            assert!(!service.after_metadata);
            assert_eq!(
                service.env[SYNC],
                "postgresql://ada:p%40ss@db.example.com:6432/airflow?sslmode=verify-full\
                 &sslrootcert=/nodes/1/work/.postgresql/root.crt"
            );
            assert_eq!(
                service.env[&format!("{SYNC}_ASYNC")],
                "postgresql+asyncpg://ada:p%40ss@db.example.com:6432/airflow?ssl=verify-full"
            );
        }
    }
    let worker = serde_json::to_string(&told(&spec, NodeRole::Worker)).unwrap();
    assert!(!worker.contains("THEIRS") && !worker.contains("db.example.com"));
    // A tenant's own server has nothing to do with them.
    let brought = serde_json::to_string(&told(&bringing("verify-full"), NodeRole::Web)).unwrap();
    assert!(brought.contains("CERTIFICATES") && !brought.contains("THEIRS"));
}

#[test]
fn clusters_with_a_database_of_ours_are_told_what_they_always_were() {
    let mut spec = bringing("require");
    spec.metadata_database = None;
    let assignment = rendered(&spec, NodeRole::Scheduler, 1);
    assert!(assignment.metadata.is_none() && assignment.services.iter().all(|one| !one.after_metadata));
    let text = serde_json::to_string(&assignment).unwrap();
    assert!(!text.contains("after_metadata") && !text.contains("asyncpg"));
}

#[test]
fn rabbitmq_is_the_machines_own_and_another_environment_restarts_neither_it_nor_results() {
    let spec = ClusterSpec {
        broker: Broker::RabbitMq,
        ..spec_with(&serde_json::json!([{"source": {"kind": "push"}}]))
    };
    let one = rendered_in(&spec, NodeRole::Scheduler, 1, Some("one"));
    let other = rendered_in(&spec, NodeRole::Scheduler, 1, Some("other"));
    assert_eq!(one.services[0].argv, ["/nodes/1/rabbitmq-server"]);
    assert_eq!(one.services[1].name, ServiceName::Results);
    assert!(matches!(one.services[0].health, HealthCheck::Amqp { .. }));
    let digests = |assignment: &Assignment| {
        let services = assignment.services.iter().take(3);
        services.map(|service| service.digest.clone()).collect::<Vec<_>>()
    };
    assert_eq!(digests(&one)[..2], digests(&other)[..2]);
    assert_ne!(digests(&one)[2], digests(&other)[2], "the scheduler runs in it");
    let worker = rendered(&spec, NodeRole::Worker, 1);
    assert!(matches!(
        worker.services[0].health,
        HealthCheck::CeleryWorkerAmqp { .. }
    ));
}
