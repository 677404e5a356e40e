//! What a cluster is made of.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, Utc};
use updraft_api::rest::{ClusterView, NodeView};
use updraft_model::{Broker, WorkerQueue};

use super::schedule::upcoming;
use crate::text::{Moment, count, short};

#[derive(Template)]
#[template(path = "pages/facts.html")]
pub(crate) struct Facts {
    runtime: String,
    broker: Broker,
    queues: Vec<String>,
    upcoming: Vec<String>,
    tags: Vec<String>,
    database: Option<String>,
    generation: i64,
    dag_location: String,
    dag_version: Option<(String, String)>,
    receipt: String,
    created: Moment,
    updated: Moment,
}

impl HtmlSafe for Facts {}

// === impl Facts ===

impl Facts {
    pub(crate) fn new(cluster: &ClusterView, nodes: &[NodeView], now: DateTime<Utc>) -> Self {
        let spec = &cluster.spec;
        let version = cluster.dag_version.as_deref();
        let have = nodes
            .iter()
            .filter(|node| version.is_some() && node.dag_version.as_deref() == version)
            .count();
        Self {
            runtime: spec.runtime.clone(),
            broker: spec.broker,
            queues: spec.queues().iter().map(|queue| size(queue, cluster)).collect(),
            upcoming: upcoming(cluster),
            tags: spec
                .tags
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
            database: spec.metadata_database.as_ref().map(ToString::to_string),
            generation: cluster.generation.0,
            dag_location: cluster.dag_location.clone(),
            dag_version: version.map(|digest| (short(digest), digest.to_owned())),
            receipt: format!("on {have} of {}", count(nodes.len(), "node", "nodes")),
            created: Moment::new(cluster.created_at, now),
            updated: Moment::new(cluster.updated_at, now),
        }
    }
}

/// `2 workers × 4 tasks at once`, with the queue's name where there are several.
fn size(queue: &WorkerQueue, cluster: &ClusterView) -> String {
    let now = cluster.queues.iter().find(|now| now.name == queue.name);
    let workers = match now.filter(|_| queue.min < queue.max) {
        Some(now) => format!(
            "{} to {} workers ({} of {} ready now)",
            queue.min, queue.max, now.workers_ready, now.workers_wanted
        ),
        None => count(queue.min as usize, "worker", "workers"),
    };
    let name = if cluster.spec.worker_queues.is_empty() {
        String::new()
    } else {
        format!("{}: ", queue.name)
    };
    let machine = queue.instance_type.iter().map(|machine| format!(" on {machine}"));
    let machine: String = machine.collect();
    format!("{name}{workers} × {} tasks at once{machine}", queue.concurrency)
}
