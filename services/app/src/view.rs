//! Records of the store as clients see them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use updraft_api::agent::Report;
use updraft_api::queues::QueueView;
use updraft_api::rest::{
    AgentView, ClusterView, EnvironmentState, EnvironmentView, EventView, NodeView, OperationView, Severity,
};
use updraft_model::{ClusterRole, Power, Protocol, TenantId, WorkerQueue};
use updraft_store::clusters::ClusterRecord;
use updraft_store::environment_changes::{EnvironmentChange, Stage};
use updraft_store::event_log::LoggedEvent;
use updraft_store::node_list::ListedNode;
use updraft_store::operations::OperationRecord;

use crate::{AppConfig, LiveReports, schedules};

pub(crate) fn cluster(
    record: ClusterRecord,
    tenant: TenantId,
    role: ClusterRole,
    config: &AppConfig,
) -> ClusterView {
    let queues = queues(&record);
    let nodes_wanted = match record.power {
        Power::Running => 2 + queues.iter().map(|queue| queue.workers_wanted).sum::<u32>(),
        Power::Stopped | Power::Deleted => 0,
    };
    ClusterView {
        airflow_url: config.airflow_url(tenant, record.id),
        dag_location: config.dag_location(record.id, &record.spec.dag_sources),
        environment: record.environment.and_then(environment),
        upcoming: schedules::upcoming(&record.spec.schedule, record.idle_stop, Utc::now())
            .filter(|_| record.power != Power::Deleted),
        id: record.id,
        name: record.name,
        spec: record.spec,
        generation: record.generation,
        power: record.power,
        phase: record.phase,
        role,
        queues,
        nodes_ready: record.nodes_ready,
        nodes_wanted,
        dag_version: record.dag_version,
        created_at: record.created_at,
        updated_at: record.updated_at,
        operation: record.operation,
    }
}

fn queues(record: &ClusterRecord) -> Vec<QueueView> {
    let view = |queue: WorkerQueue| {
        let size = record.sizes.get(&queue.name).copied().unwrap_or(queue.min);
        let wanted = match record.power {
            Power::Running => size.clamp(queue.min, queue.max),
            Power::Stopped | Power::Deleted => 0,
        };
        QueueView {
            workers_wanted: wanted,
            workers_ready: record.workers_ready.get(&queue.name).copied().unwrap_or(0),
            min: queue.min,
            max: queue.max,
            name: queue.name,
        }
    };
    record
        .spec
        .queues()
        .into_iter()
        .filter(|queue| queue.min <= queue.max)
        .map(view)
        .collect()
}

/// None: nodes have what is wanted.
pub(crate) fn environment(change: EnvironmentChange) -> Option<EnvironmentView> {
    let state = match change.stage {
        Stage::Settled => return None,
        Stage::Building => EnvironmentState::Building,
        Stage::Workers | Stage::All => EnvironmentState::RollingOut,
        Stage::Abandoned => EnvironmentState::Refused,
    };
    Some(EnvironmentView {
        state,
        live: change.before.environment,
        live_bootstrap: change.before.bootstrap,
        failure: change.failure,
    })
}

pub(crate) fn operation(record: OperationRecord) -> OperationView {
    OperationView {
        id: record.id,
        cluster: record.cluster,
        kind: record.kind,
        state: record.state,
        generation: record.generation,
        steps: record.steps,
        failure: record.failure,
        requested_by: record.requested_by,
        created_at: record.created_at,
        finished_at: record.finished_at,
    }
}

/// As the node last reported: to this process, or, where another process of control heard it since, as it last changed.
/// A stored report that cannot be read counts as none: agents are not trusted to send good ones.
pub(crate) fn latest_report(
    listed: &ListedNode,
    live: &dyn LiveReports,
) -> Option<(DateTime<Utc>, Arc<Report>)> {
    let heard = live.latest(listed.id);
    let stored = || {
        let at = listed.reported_at?;
        if heard.as_ref().is_some_and(|(heard_at, _)| *heard_at >= at) {
            return None;
        }
        let report = serde_json::from_value::<Report>(listed.report.clone()?).ok()?;
        Some((at, Arc::new(report)))
    };
    stored().or(heard)
}

pub(crate) fn node(listed: ListedNode, live: &dyn LiveReports, has_boot_log: bool) -> NodeView {
    // What a machine last said holds no more once it stands still, whichever process still knows it.
    let latest = latest_report(&listed, live).filter(|_| !listed.is_kept);
    let (reported_at, report) = latest.unzip();
    let report = report.as_deref();
    NodeView {
        id: listed.id,
        role: listed.role,
        label: format!("{}-{}", listed.role, listed.ordinal),
        queue: listed.queue,
        address: listed.address,
        off: listed.is_kept,
        has_boot_log,
        phase: report.map(|report| report.phase),
        generation: listed.generation,
        dag_version: report.and_then(|report| report.dag_version.clone()),
        services: report.map(|report| report.services.clone()).unwrap_or_default(),
        created_at: listed.created_at,
        last_report_at: reported_at,
        cpu_percent: report.and_then(|report| report.cpu_percent),
        memory_bytes: report.and_then(|report| report.memory_bytes),
        agent: report.map(agent),
    }
}

fn agent(report: &Report) -> AgentView {
    let standing = report.agent.as_ref();
    let refused = standing.and_then(|standing| standing.refused.as_ref());
    AgentView {
        version: report.agent_version.clone(),
        protocol: standing.map_or(Protocol::FIRST, |standing| standing.protocol).0,
        release: standing.and_then(|standing| standing.release.clone()),
        not_replaced: refused.map(|refused| refused.why.clone()),
    }
}

pub(crate) fn event(logged: LoggedEvent) -> EventView {
    EventView {
        id: logged.id,
        at: logged.at,
        cluster: logged.cluster,
        node: logged.node,
        node_label: logged.node_label,
        service: logged.service.and_then(|name| name.parse().ok()),
        kind: logged.kind,
        severity: match logged.severity.as_str() {
            "info" => Severity::Info,
            "warning" => Severity::Warning,
            _ => Severity::Error,
        },
        message: logged.message,
    }
}
