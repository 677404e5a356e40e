//! Pure: inputs → assignment.

use indexmap::IndexMap;
use secrecy::ExposeSecret as _;
use thiserror::Error;
use updraft_api::agent::{
    Assignment, FileAssignment, HealthCheck, NodePower, ParentAssignment, RELAY_PORT, ReencryptionAssignment,
    RelayAssignment, ScriptAssignment, ServiceAssignment, StopPolicy,
};
use updraft_authz::PublicKey;
use updraft_model::{NodeRole, ServiceName};
use updraft_planner::limits;
use updraft_runtimes::{Health, MissingVariable, Relay, RenderedFile, RenderedService, Runtime, Variables};

use super::{AssignmentInputs, metadata, scripts, variables as own, worker_queue};

/// Where things lie below the node's directory.
const WORK: &str = "work";
const NO_PLUGINS: &str = "work/plugins";
const LOGS: &str = "logs";
const DAGS: &str = "dags";
const JWKS: &str = "work/jwks.json";
/// Read again when it changes: other keys restart nothing.
const LOG_KEYS: &str = "work/log-keys.json";
const VALKEY: &str = "valkey-server";
const RABBITMQ: &str = "rabbitmq-server";
const BROKER_PASSWORD: &str = "work/broker-password";
const PLUGINS_DIR: &str = "plugins_dir";
/// Thousands of connections take seconds.
const REENCRYPTION_S: u32 = 300;
/// Below the directory that the cluster's nodes share.
const PARENT: &str = "parent";

#[derive(Debug, Error)]
pub enum RenderError {
    #[error("the runtime's templates do not fit")]
    Template(#[from] MissingVariable),
    #[error("the runtime relays to a service that none of its roles runs")]
    RelayTarget,
}

/// The assignment of one node, with version 0: the caller numbers it.
///
/// # Errors
/// When the runtime's data does not fit what is rendered here.
pub fn render(runtime: &Runtime, inputs: &AssignmentInputs<'_>) -> Result<Assignment, RenderError> {
    let overrides = own::overrides(runtime, inputs.spec);
    let node = runtime.render((inputs.role, inputs.spec.broker), &variables(inputs), &overrides)?;
    let relays = node
        .relays
        .iter()
        .map(|relay| relay_assignment(runtime, relay, inputs))
        .collect::<Result<_, _>>()?;
    let mut files: Vec<_> = node
        .files
        .into_iter()
        .map(|file| FileAssignment {
            path: relative(&file.path, &inputs.place.node_dir),
            content: file.content,
        })
        .collect();
    files.extend(own_files(inputs));
    files.extend(metadata::authority(inputs));
    let script = scripts::assigned(inputs.spec);
    let reencryption = reencryption(runtime, inputs, &overrides)?;
    Ok(Assignment {
        version: 0,
        cluster: inputs.cluster,
        node: inputs.node,
        role: inputs.role,
        generation: inputs.generation,
        power: if inputs.run {
            NodePower::Run
        } else {
            NodePower::Stop
        },
        environment_dir: inputs.place.environment_dir.clone(),
        environment: inputs.place.environment.clone(),
        build: inputs.build.clone(),
        script: script.clone(),
        trial: inputs.trial.clone(),
        reencryption,
        metadata: metadata::assigned(runtime, inputs, &variables(inputs))?,
        requirements_file: inputs.requirements_file.clone(),
        parent: parent_assignment(runtime, inputs, &overrides)?,
        services: node
            .services
            .into_iter()
            .map(|service| service_assignment(service, inputs, script.as_ref()))
            .collect(),
        files,
        directories: node
            .directories
            .iter()
            .map(|path| format!("{WORK}/{path}"))
            .chain(metadata::directory(inputs))
            .collect(),
        dags: super::dags::delivery(inputs),
        logs: Some(super::logs::delivery(inputs)),
        relays,
        tells_load: inputs.role == NodeRole::Scheduler && worker_queue::wants_load(inputs.spec),
        tunnel: None,
        agent: None,
    })
}

fn variables(inputs: &AssignmentInputs<'_>) -> Variables {
    let (place, logs) = (&inputs.place, &inputs.logs.access);
    let below = |part: &str| format!("{}/{part}", place.node_dir);
    Variables::default()
        .with("address", &place.address)
        .with("base_url", &inputs.base_url)
        .with("cluster_id", inputs.cluster.to_string())
        .with("prefix", inputs.cluster.path_prefix())
        .with("work_dir", below(WORK))
        .with(
            PLUGINS_DIR,
            place.plugins_dir.clone().unwrap_or_else(|| below(NO_PLUGINS)),
        )
        .with("logs_dir", below(LOGS))
        .with("dags_dir", below(DAGS))
        .with("jwks_file", below(JWKS))
        .with("log_region", &logs.region)
        .with("log_bucket", &logs.bucket)
        .with("log_prefix", inputs.logs.prefix.trim_end_matches('/'))
        .with("s3_endpoint", &logs.endpoint)
        .with(
            "worker_concurrency",
            worker_queue::concurrency(inputs.spec, inputs.queue.as_ref()).to_string(),
        )
        .with(
            "worker_queues",
            worker_queue::listens_to(inputs.spec, inputs.queue.as_ref()),
        )
        .with("prefork_socket", format!("{}/prefork.sock", place.shared_dir))
        .with("log_keys_file", below(LOG_KEYS))
        .with("dsn", metadata::dsn(inputs))
        .with("fernet_key", inputs.secrets.fernet_key.expose_secret())
        .with("jwt_secret", inputs.secrets.jwt_secret.expose_secret())
        .with("broker_password", inputs.secrets.broker_password.expose_secret())
}

/// On the scheduler's node, which reaches the database.
fn reencryption(
    runtime: &Runtime,
    inputs: &AssignmentInputs<'_>,
    overrides: &IndexMap<String, String>,
) -> Result<Option<ReencryptionAssignment>, RenderError> {
    let wanted = inputs.secrets.reencryption.as_ref();
    let Some(wanted) = wanted.filter(|_| inputs.role == NodeRole::Scheduler) else {
        return Ok(None);
    };
    let variables = variables(inputs).with("fernet_key", wanted.fernet_keys.expose_secret());
    let mut argv = runtime.reencrypt_argv().to_vec();
    if let Some(program) = argv.first_mut() {
        *program = format!("{}/bin/{program}", inputs.place.environment_dir);
    }
    Ok(Some(ReencryptionAssignment {
        attempt: wanted.attempt,
        argv,
        env: runtime.reencrypt_env(&variables, overrides)?,
        time_limit_s: REENCRYPTION_S,
    }))
}

/// The same on every node of the cluster: nothing of it may name the node.
fn parent_assignment(
    runtime: &Runtime,
    inputs: &AssignmentInputs<'_>,
    overrides: &IndexMap<String, String>,
) -> Result<ParentAssignment, RenderError> {
    let shared = &inputs.place.shared_dir;
    let home = format!("{shared}/{PARENT}");
    let own = ["work_dir", "logs_dir", "dags_dir"];
    let variables = own
        .iter()
        .fold(variables(inputs), |all, name| all.with(name, &home));
    // It loads no plugin: theirs are each service's own to run, after the fork.
    let variables = variables
        .with("address", "127.0.0.1")
        .with(PLUGINS_DIR, format!("{home}/plugins"));
    let parent = runtime.parent(inputs.spec.broker, &variables, overrides)?;
    let file = |file: RenderedFile| FileAssignment {
        path: relative(&file.path, shared),
        content: file.content,
    };
    Ok(ParentAssignment {
        env: parent.env,
        directories: parent
            .directories
            .iter()
            .map(|path| format!("{PARENT}/{path}"))
            .collect(),
        files: parent.files.into_iter().map(file).collect(),
    })
}

fn service_assignment(
    service: RenderedService,
    inputs: &AssignmentInputs<'_>,
    script: Option<&ScriptAssignment>,
) -> ServiceAssignment {
    let grace_s = grace_seconds(&service, inputs);
    let mut argv = service.argv;
    let airflow = service.airflow;
    let digest = service_digest(&service.digest, airflow, inputs);
    if let Some(program) = argv.first_mut() {
        *program = match program.as_str() {
            VALKEY => inputs.place.broker_binary.clone(),
            RABBITMQ => inputs.place.rabbitmq_binary.clone(),
            name => format!("{}/bin/{name}", inputs.place.environment_dir),
        };
    }
    let waits = service.decrypts && inputs.secrets.reencryption.is_some();
    let mut assigned = ServiceAssignment {
        name: service.name,
        argv,
        env: service.env,
        secrets: Vec::new(),
        prefork: service.prefork,
        after_script: false,
        after_metadata: false,
        after: service.after,
        interval_s: service.health.interval_seconds(),
        health: health_check(service.health),
        warm: service.warm,
        start_within_s: service.start_within_seconds,
        ports: service.ports,
        stop: StopPolicy {
            signal: service.stop_signal,
            grace_s,
        },
        restart_nonce: (inputs.restart_nonce)(service.name),
        enabled: (inputs.enabled)(service.name) && !waits,
        digest,
    };
    if airflow {
        metadata::add(&mut assigned, inputs);
        own::add(&mut assigned, inputs);
        scripts::add(&mut assigned, script, &inputs.place.node_dir);
    }
    assigned
}

/// Another environment restarts what runs in it, and the broker is no part of it.
fn service_digest(own: &str, airflow: bool, inputs: &AssignmentInputs<'_>) -> String {
    match &inputs.place.environment_key {
        Some(key) if airflow => format!("{own}-{key}"),
        Some(_) | None => own.to_owned(),
    }
}

/// The runtime's own word, but for a worker that leaves a cluster which goes on running: another does its work meanwhile.
fn grace_seconds(service: &RenderedService, inputs: &AssignmentInputs<'_>) -> u32 {
    let has_tasks = service.name == ServiceName::Worker && inputs.drains;
    let tasks = has_tasks.then(|| u32::try_from(limits::TASKS.num_seconds()).ok());
    tasks.flatten().unwrap_or(service.stop_grace_seconds)
}

fn health_check(health: Health) -> HealthCheck {
    let password_file = BROKER_PASSWORD.to_owned();
    match health {
        Health::RedisPing { address, .. } => HealthCheck::Redis {
            address,
            password_file,
        },
        Health::HttpStatus { url, .. } => HealthCheck::HttpStatus { url },
        Health::HttpJson { url, healthy, .. } => HealthCheck::HttpJson {
            url,
            paths: healthy,
            expect: "healthy".to_owned(),
        },
        Health::MonitorHealth {
            url,
            component,
            heartbeat,
            ..
        } => HealthCheck::MonitorHealth {
            url,
            component,
            heartbeat,
        },
        Health::Celery {
            address,
            channel,
            hostname,
            within_seconds,
            ..
        } => HealthCheck::CeleryWorker {
            broker: address,
            password_file,
            channel,
            hostname,
            within_s: within_seconds,
        },
        Health::Amqp { address, user, .. } => HealthCheck::Amqp {
            address,
            user,
            password_file,
        },
        Health::CeleryAmqp {
            address,
            user,
            exchange,
            routing_key,
            hostname,
            within_seconds,
            ..
        } => HealthCheck::CeleryWorkerAmqp {
            broker: address,
            user,
            password_file,
            exchange,
            routing_key,
            hostname,
            within_s: within_seconds,
        },
    }
}

fn own_files(inputs: &AssignmentInputs<'_>) -> Vec<FileAssignment> {
    let password = FileAssignment {
        path: BROKER_PASSWORD.to_owned(),
        content: inputs.secrets.broker_password.expose_secret().to_owned(),
    };
    let keys = FileAssignment {
        path: JWKS.to_owned(),
        content: PublicKey::jwks(inputs.airflow_keys).to_string(),
    };
    let log_keys = FileAssignment {
        path: LOG_KEYS.to_owned(),
        content: super::logs::keys(inputs.logs),
    };
    match inputs.role {
        NodeRole::Web => vec![keys, log_keys],
        NodeRole::Scheduler | NodeRole::Worker => vec![password],
    }
}

fn relay_assignment(
    runtime: &Runtime,
    relay: &Relay,
    inputs: &AssignmentInputs<'_>,
) -> Result<RelayAssignment, RenderError> {
    let role = runtime.role_of(relay.service).ok_or(RenderError::RelayTarget)?;
    let peer = inputs.peers.iter().find(|peer| peer.role == role);
    Ok(RelayAssignment {
        listen_port: relay.port,
        role,
        target_port: relay.port,
        target: peer.map(|peer| format!("{}:{RELAY_PORT}", peer.address)),
    })
}

fn relative(path: &str, node_dir: &str) -> String {
    path.strip_prefix(node_dir)
        .unwrap_or(path)
        .trim_start_matches('/')
        .to_owned()
}

#[cfg(test)]
mod tests;
