//! The embedded runtime's data, rendered for each role.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
use std::collections::BTreeMap;

use indexmap::IndexMap;
use updraft_model::{Broker, NodeRole, ServiceName};
use updraft_runtimes::{Catalogue, ConfigError, Health, RenderedNode, Variables};

const SECRETS: &[(&str, &str)] = &[
    ("dsn", "DSN-SECRET"),
    ("fernet_key", "FERNET-SECRET"),
    ("jwt_secret", "JWT-SECRET"),
    ("broker_password", "BROKER-SECRET"),
    ("log_keys_file", "LOG-KEYS-FILE"),
];

fn variables() -> Variables {
    let plain = [
        "address",
        "base_url",
        "cluster_id",
        "prefix",
        "dags_dir",
        "logs_dir",
        "work_dir",
        "plugins_dir",
        "jwks_file",
        "log_bucket",
        "log_prefix",
        "log_region",
        "s3_endpoint",
        "worker_concurrency",
        "worker_queues",
        "prefork_socket",
    ];
    let variables = plain.iter().fold(Variables::default(), |vars, name| {
        vars.with(name, format!("<{name}>"))
    });
    SECRETS
        .iter()
        .fold(variables, |vars, (name, value)| vars.with(name, *value))
}

fn node(role: NodeRole, overrides: &[(&str, &str)]) -> RenderedNode {
    node_with(Broker::Valkey, role, overrides)
}

fn node_with(broker: Broker, role: NodeRole, overrides: &[(&str, &str)]) -> RenderedNode {
    let catalogue = Catalogue::embedded().unwrap();
    let overrides = overrides
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    catalogue
        .get("airflow-3.3.2")
        .unwrap()
        .render((role, broker), &variables(), &overrides)
        .unwrap()
}

fn text(env: &BTreeMap<String, String>) -> String {
    format!("{env:?}")
}

#[test]
fn a_worker_gets_neither_dsn_nor_fernet_key_nor_signing_secret() {
    let worker = node(NodeRole::Worker, &[]);
    assert_eq!(
        worker.services.iter().map(|s| s.name).collect::<Vec<_>>(),
        [ServiceName::Worker]
    );
    let env = text(&worker.services[0].env);
    for secret in ["DSN-SECRET", "FERNET-SECRET", "JWT-SECRET"] {
        assert!(!env.contains(secret), "{secret} in {env}");
    }
    assert!(env.contains("BROKER-SECRET"), "positive control");
}

#[test]
fn the_pre_imported_parent_knows_no_secret() {
    let catalogue = Catalogue::embedded().unwrap();
    let parent = catalogue
        .newest()
        .unwrap()
        .parent(Broker::RabbitMq, &variables(), &IndexMap::new())
        .unwrap();
    let env = text(&parent.env);
    for (_, secret) in SECRETS {
        assert!(!env.contains(secret), "{secret} in {env}");
    }
    assert!(env.contains("CeleryExecutor"), "positive control");
}

#[test]
fn no_secret_is_on_a_command_line() {
    let nodes = |broker| {
        NodeRole::ALL
            .iter()
            .map(move |role| node_with(broker, *role, &[]))
    };
    for service in Broker::ALL
        .iter()
        .copied()
        .flat_map(nodes)
        .flat_map(|node| node.services)
    {
        for (_, secret) in SECRETS {
            assert!(
                !service.argv.join(" ").contains(secret),
                "{} shows {secret}",
                service.name
            );
        }
    }
}

#[test]
fn the_number_of_tasks_at_once_and_their_queues_are_known_to_the_worker_alone() {
    for own in ["<worker_concurrency>", "<worker_queues>"] {
        known_to_the_worker_alone(own);
    }
}

fn known_to_the_worker_alone(number: &str) {
    for role in NodeRole::ALL {
        for service in node(*role, &[]).services {
            assert!(!text(&service.env).contains(number), "{}", service.name);
            let told = service.argv.iter().any(|word| word == number);
            assert_eq!(told, service.name == ServiceName::Worker);
        }
    }
}

#[test]
fn every_role_has_its_services() {
    let names = |role| {
        node(role, &[])
            .services
            .iter()
            .map(|s| s.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(NodeRole::Scheduler),
        [
            ServiceName::Broker,
            ServiceName::Scheduler,
            ServiceName::DagProcessor,
            ServiceName::Triggerer
        ]
    );
    assert_eq!(names(NodeRole::Web), [ServiceName::ApiServer]);
}

#[test]
fn with_rabbitmq_valkey_keeps_results_and_workers_reach_both() {
    let scheduler = node_with(Broker::RabbitMq, NodeRole::Scheduler, &[]);
    let names: Vec<_> = scheduler.services.iter().map(|s| s.name).collect();
    assert_eq!(
        names[..3],
        [ServiceName::Broker, ServiceName::Results, ServiceName::Scheduler]
    );
    assert_eq!(scheduler.services[0].argv, ["rabbitmq-server"]);
    assert_eq!(
        scheduler.services[2].after,
        [ServiceName::Broker, ServiceName::Results]
    );
    assert_eq!(
        node(NodeRole::Scheduler, &[]).services[1].after,
        [ServiceName::Broker],
        "what is not there is not waited for"
    );
    let worker = node_with(Broker::RabbitMq, NodeRole::Worker, &[]);
    let env = &worker.services[0].env;
    assert_eq!(
        env["AIRFLOW__CELERY__BROKER_URL"],
        "amqp://airflow:BROKER-SECRET@<address>:5672//"
    );
    assert!(
        env["AIRFLOW__CELERY__RESULT_BACKEND"].starts_with("redis://"),
        "not the database"
    );
    assert!(!env.contains_key("AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"));
    assert!(matches!(worker.services[0].health, Health::CeleryAmqp { .. }));
    let mut ports: Vec<_> = worker.relays.iter().map(|relay| relay.port).collect();
    ports.sort_unstable();
    assert_eq!(ports, [5672, 6379, 8080]);
}

#[test]
fn rabbitmq_reads_its_password_from_a_file_and_takes_part_in_no_erlang_cluster() {
    let scheduler = node_with(Broker::RabbitMq, NodeRole::Scheduler, &[]);
    let broker = &scheduler.services[0];
    assert!(!text(&broker.env).contains("BROKER-SECRET"));
    let erlang = &broker.env["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"];
    assert!(
        erlang.contains("-dist_listen false -start_epmd false"),
        "{erlang}"
    );
    let file = |name: &str| {
        let found = scheduler.files.iter().find(|file| file.path.ends_with(name));
        found.unwrap().content.clone()
    };
    let definitions: serde_json::Value = serde_json::from_str(&file("/rabbitmq.json")).unwrap();
    assert_eq!(definitions["users"].as_array().unwrap().len(), 1, "no guest");
    assert_eq!(definitions["users"][0]["password"], "BROKER-SECRET");
    assert!(file("/rabbitmq.conf").contains("listeners.tcp.1 = <address>:5672"));
    assert!(file("/rabbitmq.config").contains("{consumer_timeout, undefined}"));
}

#[test]
fn overrides_reach_services_and_change_their_digest_but_never_managed_keys() {
    let before = node(NodeRole::Scheduler, &[]);
    let after = node(
        NodeRole::Scheduler,
        &[("core.parallelism", "7"), ("core.executor", "LocalExecutor")],
    );
    assert_eq!(after.services[1].env["AIRFLOW__CORE__PARALLELISM"], "7");
    assert!(after.services[1].env["AIRFLOW__CORE__EXECUTOR"].ends_with("CeleryExecutor"));
    assert_ne!(before.services[1].digest, after.services[1].digest);
    assert_eq!(
        before.services[0].digest, after.services[0].digest,
        "the broker need not restart"
    );
}

#[test]
fn bad_overrides_are_refused_by_name() {
    let catalogue = Catalogue::embedded().unwrap();
    let runtime = catalogue.get("airflow-3.3.2").unwrap();
    let check = |key: &str, value: &str| {
        runtime.check_overrides(&IndexMap::from([(key.to_owned(), value.to_owned())]))
    };
    assert!(check("core.parallelism", "64").is_ok());
    assert!(matches!(
        check("core.executor", "x"),
        Err(ConfigError::Managed { .. })
    ));
    assert!(matches!(
        check("celery.pool", "solo"),
        Err(ConfigError::Managed { .. })
    ));
    assert!(matches!(
        check("core.parallelism", "many"),
        Err(ConfigError::BadValue { .. })
    ));
    let near = check("core.paralelism", "3").unwrap_err().to_string();
    assert!(near.contains("did you mean `core.parallelism`"), "{near}");
    assert!(matches!(check("nonsense", "x"), Err(ConfigError::Unknown { .. })));
}
