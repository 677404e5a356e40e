use secrecy::SecretString;
use updraft_api::agent::Assignment;
use updraft_model::{ClusterId, ClusterSpec, Generation, NodeId, NodeRole};
use updraft_provider::StorageAccess;
use updraft_runtimes::Catalogue;

use super::super::{AssignmentInputs, ClusterSecrets, NodePlace};
use super::render;

fn rendered(spec: &ClusterSpec, role: NodeRole, generation: i64) -> Assignment {
    let secret = || SecretString::from("secret");
    let path = |name: &str| format!("/nodes/1/{name}");
    let catalogue = Catalogue::embedded().unwrap();
    let inputs = AssignmentInputs {
        cluster: ClusterId(1),
        generation: Generation(generation),
        spec,
        node: NodeId(uuid::Uuid::nil()),
        role,
        run: true,
        place: NodePlace {
            address: "127.64.0.1".into(),
            node_dir: "/nodes/1".into(),
            shared_dir: path("shared"),
            environment_dir: path("environment"),
            broker_binary: path("valkey-server"),
        },
        peers: &[],
        secrets: &ClusterSecrets {
            dsn: secret(),
            fernet_key: secret(),
            jwt_secret: secret(),
            broker_password: secret(),
        },
        storage: &StorageAccess {
            endpoint: "http://127.0.0.1:1".into(),
            bucket: "updraft-c1".into(),
            access_key: "key".into(),
            secret_key: secret(),
        },
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
        "dag_source": {"kind": "cluster_bucket", "prefix": "dags/"},
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
