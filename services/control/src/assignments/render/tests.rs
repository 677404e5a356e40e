use secrecy::SecretString;
use updraft_api::agent::Assignment;
use updraft_app::LogPlace;
use updraft_model::{
    ClusterId, ClusterSpec, CredentialConfig, Generation, NodeId, NodeRole, QueueName, ServiceName,
};
use updraft_provider::StorageAccess;
use updraft_runtimes::Catalogue;
use updraft_store::credentials::OpenCredential;

use super::super::{AssignmentInputs, ClusterSecrets, DagInputs, NodePlace};
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
    let secret = || SecretString::from("secret");
    let path = |name: &str| format!("/nodes/1/{name}");
    let catalogue = Catalogue::embedded().unwrap();
    let inputs = AssignmentInputs {
        cluster: ClusterId(1),
        generation: Generation(generation),
        spec,
        node: NodeId(uuid::Uuid::nil()),
        role,
        ordinal: 1,
        queue: Some(QueueName::default()).filter(|_| role == NodeRole::Worker),
        run: true,
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
        },
        peers: &[],
        secrets: &ClusterSecrets {
            dsn: secret(),
            fernet_key: secret(),
            jwt_secret: secret(),
            broker_password: secret(),
            tasks: Vec::new(),
        },
        storage: &storage(),
        logs,
        log_disk_bytes: 1 << 30,
        dags,
        airflow_keys: &[],
        base_url: "http://127.0.0.2:7701/airflow-webserver-1/".into(),
        restart_nonce: &|_| 0,
        enabled: &|_| true,
    };
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
