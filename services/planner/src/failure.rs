//! Typed failures: what happened, why, what to do. Programs rely on the codes.

use chrono::{DateTime, Utc};
use updraft_model::{AgentPhase, Failure, NOT_ON_THIS_NODE, ServiceName, ServiceState, ServiceStatus};

use crate::desired::Desired;
use crate::nodes::places;
use crate::observed::{LateFailures, LaunchFailure, LaunchFailureKind, Node, NodeState, Observed, Resource};
use crate::{keys, limits, network};

/// What keeps the cluster from running and will not pass unaided, worst first.
pub(crate) fn hopeless(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> Option<Failure> {
    let of_nodes = || places(desired, observed).filter_map(|place| place.node);
    of_database(observed)
        .or_else(|| resource(&observed.storage, storage_unavailable))
        .or_else(|| network::failure(desired, observed))
        .or_else(|| of_nodes().find_map(|node| launch_failure(desired, node)))
        .or_else(|| late_failure(desired, observed))
        .or_else(|| never_reported(desired, observed))
        .or_else(|| of_nodes().find_map(node_failure))
        .or_else(|| start_timed_out(desired, now))
}

pub(crate) fn of_database(observed: &Observed) -> Option<Failure> {
    resource(&observed.database, database_unavailable)
}

/// Whether the service ended again and again. Its agent keeps trying, with growing pauses.
pub(crate) fn cannot_start(node: &Node) -> impl Iterator<Item = &ServiceStatus> {
    let report = node.report.as_ref().filter(|r| r.phase == AgentPhase::Degraded);
    let services = report.map(|r| r.services.as_slice()).unwrap_or_default();
    services
        .iter()
        .filter(|s| s.state == ServiceState::BackingOff && s.restarts >= limits::SERVICE_RESTARTS)
}

/// Whether a cluster does its work without this service.
pub(crate) fn is_optional(service: ServiceName) -> bool {
    match service {
        ServiceName::Flower => true,
        ServiceName::Broker
        | ServiceName::Results
        | ServiceName::Scheduler
        | ServiceName::DagProcessor
        | ServiceName::Triggerer
        | ServiceName::ApiServer
        | ServiceName::Worker => false,
    }
}

fn resource(resource: &Resource, failure: fn(&str) -> Failure) -> Option<Failure> {
    match resource {
        Resource::Intended {
            attempts,
            failure: Some(why),
            ..
        } if *attempts >= limits::RESOURCE_ATTEMPTS => Some(failure(why)),
        Resource::Absent | Resource::Intended { .. } | Resource::Ready { .. } => None,
    }
}

fn database_unavailable(why: &str) -> Failure {
    Failure {
        code: "database_unavailable".to_owned(),
        message: format!("The metadata database could not be made ready: {why}"),
        remedy: "Check that the metadata Postgres server runs and has disk space and free connections; it is tried \
                 again every minute."
            .to_owned(),
    }
}

fn storage_unavailable(why: &str) -> Failure {
    Failure {
        code: "storage_unavailable".to_owned(),
        message: format!("The cluster's storage could not be made ready: {why}"),
        remedy: "Check that the S3 endpoint answers and has disk space; it is tried again every minute."
            .to_owned(),
    }
}

fn launch_failure(desired: &Desired, node: &Node) -> Option<Failure> {
    let NodeState::Intended {
        attempts,
        attempted_at,
        failure: Some(failure),
    } = &node.state
    else {
        return None;
    };
    let is_of_before = attempted_at.is_some_and(|at| desired.is_of_before(at));
    let is_final = *attempts >= limits::launch_attempts(failure.kind) && !is_of_before;
    is_final.then(|| node_launch_failed(&node.label(), failure, "every minute"))
}

/// Nodes that the provider ended by itself while they started are launches that it refused late.
fn late_failure(desired: &Desired, observed: &Observed) -> Option<Failure> {
    places(desired, observed).find_map(|place| {
        let LateFailures { times, failure } = place.late_failures(desired, observed)?;
        let is_final = *times >= limits::launch_attempts(failure.kind);
        is_final.then(|| node_launch_failed(&place.label(), failure, "every five minutes"))
    })
}

fn node_launch_failed(label: &str, failure: &LaunchFailure, again: &str) -> Failure {
    let remedy = match failure.kind {
        LaunchFailureKind::Quota => "Raise the account's quota or stop other nodes",
        LaunchFailureKind::Capacity => "Wait, or choose another instance type or subnet",
        LaunchFailureKind::Refused => "Correct what the message names, then start again",
        LaunchFailureKind::Throttled | LaunchFailureKind::Unclear => {
            "Look at what the message names, and check that the provider is reachable"
        }
    };
    Failure {
        code: "node_launch_failed".to_owned(),
        message: format!("{label} could not be launched: {}", failure.message),
        remedy: format!("{remedy}; it is tried again {again}."),
    }
}

fn never_reported(desired: &Desired, observed: &Observed) -> Option<Failure> {
    let history = places(desired, observed)
        .filter_map(|place| place.history(desired, observed))
        .find(|history| history.never_reported >= limits::UNREPORTED_NODES)?;
    Some(Failure {
        code: "node_never_reported".to_owned(),
        message: format!(
            "{}-{} was launched {} times, but its agent never reached control.",
            history.role, history.ordinal, history.never_reported
        ),
        remedy: "Check that nodes can reach control's address, and look at the agent's log on the node."
            .to_owned(),
    })
}

/// What keeps a node from its work: its script, the tenant's own metadata database, or a service.
pub(crate) fn node_failure(node: &Node) -> Option<Failure> {
    let report = node.report.as_ref().filter(|_| node.is_settled());
    let of_script = report.and_then(|report| report.script_failure.as_ref());
    let of_metadata = report.and_then(|report| report.metadata_failure.as_ref());
    of_script
        .or(of_metadata)
        .map(|failure| Failure {
            message: format!("On {}: {}", node.label(), failure.message),
            ..failure.clone()
        })
        .or_else(|| service_failure(node))
}

/// A service without which a cluster does not work, and which cannot start.
fn service_failure(node: &Node) -> Option<Failure> {
    let service = cannot_start(node).find(|service| !is_optional(service.name))?;
    if service.name == ServiceName::Broker && lacks_program(service) {
        return Some(broker_not_installed(node, service));
    }
    Some(Failure {
        code: "service_cannot_start".to_owned(),
        message: format!(
            "{} cannot start on {}{}",
            service.name,
            node.label(),
            because(service)
        ),
        remedy: format!(
            "Look at the log of {} on {}; correct the configuration or environment it names. It is started again \
             by itself.",
            service.name,
            node.label()
        ),
    })
}

fn lacks_program(service: &ServiceStatus) -> bool {
    let detail = service.detail.as_ref();
    detail.is_some_and(|detail| detail.ends_with(NOT_ON_THIS_NODE))
}

fn broker_not_installed(node: &Node, service: &ServiceStatus) -> Failure {
    Failure {
        code: "broker_not_installed".to_owned(),
        message: format!("The cluster's broker is not installed on {}{}", node.label(), because(service)),
        remedy: "Give nodes an image that has it, for RabbitMQ with Debian's package `rabbitmq-server`, as \
                 `infra/image` makes it; or make the cluster anew with the broker `valkey`. It is tried again by itself."
            .to_owned(),
    }
}

pub(crate) fn because(service: &ServiceStatus) -> String {
    service
        .detail
        .as_ref()
        .map(|detail| format!(": {detail}"))
        .unwrap_or_default()
}

fn start_timed_out(desired: &Desired, now: DateTime<Utc>) -> Option<Failure> {
    let operation = desired.operation.as_ref()?;
    (keys::start_begins(desired, operation) + limits::START <= now).then(|| Failure {
        code: "start_timed_out".to_owned(),
        message: format!(
            "The cluster was not running {} minutes after that was asked for.",
            limits::START.num_minutes()
        ),
        remedy: "See in the timeline what it still waits for, and that service's log. It goes on trying."
            .to_owned(),
    })
}
