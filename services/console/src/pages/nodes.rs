//! Each node with its services, and the buttons that restart or start them.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::rest::{AgentView, ClusterView, NodeView, ServiceVerb};
use updraft_model::{ClusterId, ClusterRole, NodeId, Power, ServiceName, ServiceState, ServiceStatus};

use super::cluster::{Head, Tab, back_to};
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::refusal::Answer;
use crate::session::Visit;
use crate::state::Console;
use crate::text::{Moment, bytes, duration};
use crate::tone::Pill;

#[derive(Template)]
#[template(path = "pages/nodes.html")]
pub(crate) struct NodesPage {
    pub(crate) frame: Frame,
    pub(crate) head: Head,
    pub(crate) nodes: Nodes,
}

#[derive(Template)]
#[template(path = "pages/node_cards.html")]
pub(crate) struct Nodes {
    cluster: ClusterId,
    nodes: Vec<Node>,
    stopped: bool,
    may_operate: bool,
    may_read_logs: bool,
}

struct Node {
    label: String,
    queue: Option<String>,
    id: NodeId,
    pill: Pill,
    has_boot_log: bool,
    off: bool,
    address: Option<String>,
    age: Moment,
    reported: Option<Moment>,
    cpu: Option<String>,
    memory: Option<String>,
    /// `0.1.0 3f9ac27bd0e1`
    agent: Option<String>,
    agent_trouble: Option<String>,
    services: Vec<Service>,
}

struct Service {
    name: ServiceName,
    pill: Pill,
    pid: Option<i32>,
    uptime: Option<String>,
    restarts: u32,
    detail: Option<String>,
    verb: &'static str,
    button: &'static str,
}

impl HtmlSafe for Nodes {}

// === impl NodesPage ===

impl NodesPage {
    pub(crate) fn new(frame: Frame, cluster: &ClusterView, nodes: &[NodeView], now: DateTime<Utc>) -> Self {
        Self {
            frame,
            head: Head::new(cluster, Tab::Nodes),
            nodes: Nodes::new(cluster, nodes, now),
        }
    }
}

// === impl Nodes ===

impl Nodes {
    pub(crate) fn new(cluster: &ClusterView, nodes: &[NodeView], now: DateTime<Utc>) -> Self {
        Self {
            cluster: cluster.id,
            nodes: nodes.iter().map(|node| Node::new(node, now)).collect(),
            stopped: cluster.power == Power::Stopped,
            may_read_logs: cluster.role == ClusterRole::Admin,
            may_operate: cluster.role == ClusterRole::Admin && cluster.power == Power::Running,
        }
    }
}

// === impl Node ===

impl Node {
    fn new(node: &NodeView, now: DateTime<Utc>) -> Self {
        let services = node.services.iter().map(|status| Service::new(status, now));
        Self {
            label: node.label.clone(),
            queue: node.queue.as_ref().map(ToString::to_string),
            id: node.id,
            pill: match node.off {
                true => Pill::off(),
                false => Pill::of_agent(node.phase),
            },
            has_boot_log: node.has_boot_log,
            off: node.off,
            address: node.address.clone(),
            age: Moment::new(node.created_at, now),
            reported: node.last_report_at.map(|at| Moment::new(at, now)),
            cpu: node.cpu_percent.map(|percent| format!("{percent:.0} %")),
            memory: node.memory_bytes.map(bytes),
            agent: node.agent.as_ref().map(AgentView::label),
            agent_trouble: node.agent.as_ref().and_then(|agent| agent.not_replaced.clone()),
            services: services.collect(),
        }
    }
}

// === impl Service ===

impl Service {
    fn new(status: &ServiceStatus, now: DateTime<Utc>) -> Self {
        let (verb, button) = match status.state {
            ServiceState::Stopped => ("start", "Start"),
            ServiceState::Waiting
            | ServiceState::Starting
            | ServiceState::Healthy
            | ServiceState::Unhealthy
            | ServiceState::BackingOff
            | ServiceState::Stopping => ("restart", "Restart"),
        };
        Self {
            name: status.name,
            pill: Pill::of_service(status.state),
            pid: status.pid,
            uptime: status
                .started_at
                .filter(|_| status.pid.is_some())
                .map(|at| duration(now - at)),
            restarts: status.restarts,
            detail: status.detail.clone(),
            verb,
            button,
        }
    }
}

// === handlers ===

/// One node, or all that have the service.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Place {
    node: Option<NodeId>,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let nodes = console.app.list_nodes(&visit.actor, id).await?;
    let page = NodesPage::new(visit.frame().on(Here::Clusters), &cluster, &nodes, Utc::now());
    Ok(Html(page.render()?).into_response())
}

pub(crate) async fn change(
    State(console): State<Console>,
    visit: Visit,
    At((id, service, verb)): At<(ClusterId, ServiceName, ServiceVerb)>,
    Sent(place): Sent<Place>,
) -> Answer {
    console
        .app
        .change_service(&visit.actor, id, service, place.node, verb)
        .await?;
    Ok(back_to(id, "/nodes"))
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_model::{ClusterRole, Power, ServiceState};

    use super::{Nodes, NodesPage};
    use crate::fixtures;

    #[test]
    fn every_service_can_be_restarted_on_its_node_alone() {
        let (cluster, nodes) = (fixtures::cluster(1, "demo"), fixtures::nodes());
        let html = NodesPage::new(fixtures::frame(), &cluster, &nodes, fixtures::now())
            .render()
            .unwrap();
        fixtures::assert_accessible(&html);
        assert!(html.contains("/clusters/1/services/scheduler/restart"), "{html}");
        let (one, other) = (nodes[2].id, nodes[3].id);
        assert!(html.contains(&format!(r#"name="node" value="{one}""#)), "{html}");
        assert!(
            html.contains(&format!(r#"name="node" value="{other}""#)),
            "{html}"
        );
    }

    #[test]
    fn a_node_says_which_agent_it_has_and_why_not_another() {
        let (cluster, mut nodes) = (fixtures::cluster(1, "demo"), fixtures::nodes());
        let html = Nodes::new(&cluster, &nodes, fixtures::now()).render().unwrap();
        assert!(
            html.contains("agent <span class=\"mono\">0.1.0 3f9ac27bd0e1</span>"),
            "{html}"
        );
        nodes[0].agent.as_mut().unwrap().not_replaced = Some("It ended with <3>.".to_owned());
        let html = Nodes::new(&cluster, &nodes, fixtures::now()).render().unwrap();
        assert!(
            html.contains("was not replaced: It ended with &#60;3&#62;."),
            "{html}"
        );
    }

    #[test]
    fn a_node_of_a_machine_leads_to_its_boot_log_and_one_that_is_kept_is_off() {
        let (mut cluster, mut nodes) = (fixtures::cluster(1, "demo"), fixtures::nodes());
        nodes[0].off = true;
        nodes[0].services.clear();
        nodes[1].has_boot_log = false;
        let html = Nodes::new(&cluster, &nodes, fixtures::now()).render().unwrap();
        let link = |label: &str| format!("/clusters/1/nodes/{label}/boot-log");
        assert!(html.contains(&link(&nodes[0].label)) && !html.contains(&link(&nodes[1].label)));
        assert!(
            html.contains("Switched off") && html.contains("its disk is kept"),
            "{html}"
        );
        cluster.role = ClusterRole::User;
        let html = Nodes::new(&cluster, &nodes, fixtures::now()).render().unwrap();
        assert!(!html.contains("boot-log"), "{html}");
    }

    #[test]
    fn a_stopped_service_can_be_started() {
        let (cluster, mut nodes) = (fixtures::cluster(1, "demo"), fixtures::nodes());
        nodes[0].services[0].state = ServiceState::Stopped;
        let html = Nodes::new(&cluster, &nodes, fixtures::now()).render().unwrap();
        assert!(html.contains("/clusters/1/services/broker/start"), "{html}");
    }

    #[test]
    fn a_user_sees_services_without_buttons_and_a_stopped_cluster_says_so() {
        let (mut cluster, nodes) = (fixtures::cluster(1, "demo"), fixtures::nodes());
        cluster.role = ClusterRole::User;
        let html = Nodes::new(&cluster, &nodes, fixtures::now()).render().unwrap();
        assert!(!html.contains("<form"), "{html}");
        cluster.power = Power::Stopped;
        let html = Nodes::new(&cluster, &[], fixtures::now()).render().unwrap();
        assert!(html.contains("has no nodes"), "{html}");
    }
}
