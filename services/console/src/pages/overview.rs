//! One cluster at a glance: what is happening, whether it is healthy, what happened last.

use crate::extract::At;
use crate::frame::Here;
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use chrono::{DateTime, Utc};
use updraft_api::rest::{ClusterView, EventView, NodeView, OperationView, ServiceView, Severity};
use updraft_app::{Actor, EventRange, PageRequest};
use updraft_model::ClusterId;
use updraft_model::{Failure, Phase, ServiceName, ServiceState};

use super::cluster::{Head, Tab};
use crate::frame::Frame;
use crate::icon::{Icon, icon};
use crate::text::{Moment, Prose, count, short};
use crate::timeline::Timeline;
use crate::tone::{Pill, Tone};

#[derive(Template)]
#[template(path = "pages/overview.html")]
pub(crate) struct OverviewPage {
    pub(crate) frame: Frame,
    pub(crate) head: Head,
    pub(crate) trouble: Trouble,
    pub(crate) timeline: Option<Timeline>,
    pub(crate) health: Health,
    pub(crate) events: Events,
    pub(crate) facts: Facts,
}

/// Why the cluster is degraded or failed.
#[derive(Template)]
#[template(path = "pages/trouble.html")]
pub(crate) struct Trouble {
    failure: Option<Failure>,
    reasons: Vec<String>,
}

/// Health by service, over all nodes.
#[derive(Template)]
#[template(path = "pages/health.html")]
pub(crate) struct Health {
    services: Vec<ServiceHealth>,
}

struct ServiceHealth {
    name: ServiceName,
    worst: Pill,
    healthy: usize,
    total: usize,
    nodes: String,
    /// `3 restarts`, when there were any.
    restarts: Option<String>,
    detail: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/events.html")]
pub(crate) struct Events {
    pub(crate) events: Vec<EventLine>,
}

pub(crate) struct EventLine {
    pub(crate) at: Moment,
    pub(crate) tone: Tone,
    pub(crate) icon: Icon,
    pub(crate) severity: &'static str,
    pub(crate) place: Option<String>,
    pub(crate) message: Prose,
    pub(crate) kind: String,
}

#[derive(Template)]
#[template(path = "pages/facts.html")]
pub(crate) struct Facts {
    runtime: String,
    size: String,
    generation: i64,
    dag_location: String,
    dag_version: Option<(String, String)>,
    receipt: String,
    created: Moment,
    updated: Moment,
}

/// All that the page shows, as the use cases gave it.
pub(crate) struct Observed<'a> {
    pub(crate) cluster: &'a ClusterView,
    pub(crate) operation: Option<&'a OperationView>,
    pub(crate) nodes: &'a [NodeView],
    pub(crate) services: &'a [ServiceView],
    pub(crate) events: &'a [EventView],
}

impl HtmlSafe for Trouble {}
impl HtmlSafe for Health {}
impl HtmlSafe for Events {}
impl HtmlSafe for Facts {}

// === impl OverviewPage ===

impl OverviewPage {
    pub(crate) fn new(frame: Frame, observed: &Observed<'_>, now: DateTime<Utc>) -> Self {
        Self {
            frame,
            head: Head::new(observed.cluster, Tab::Overview),
            trouble: Trouble::new(&observed.cluster.phase, observed.operation),
            timeline: observed.operation.map(|operation| Timeline::new(operation, now)),
            health: Health::new(observed.services),
            events: Events::new(observed.events, now),
            facts: Facts::new(observed.cluster, observed.nodes, now),
        }
    }
}

// === impl Trouble ===

impl Trouble {
    /// A failure that the timeline shows already is not said twice.
    pub(crate) fn new(phase: &Phase, shown: Option<&OperationView>) -> Self {
        let told = shown.and_then(|operation| operation.failure.as_ref());
        match phase {
            Phase::Failed { reason } if told.is_some_and(|failure| failure.code == reason.code) => Self {
                failure: None,
                reasons: Vec::new(),
            },
            Phase::Failed { reason } => Self {
                failure: Some(reason.clone()),
                reasons: Vec::new(),
            },
            Phase::Degraded { reasons } => Self {
                failure: None,
                reasons: reasons.clone(),
            },
            Phase::Stopped | Phase::Starting { .. } | Phase::Running | Phase::Stopping | Phase::Deleting => {
                Self {
                    failure: None,
                    reasons: Vec::new(),
                }
            }
        }
    }
}

// === impl Health ===

impl Health {
    pub(crate) fn new(services: &[ServiceView]) -> Self {
        let summaries = ServiceName::ALL
            .iter()
            .filter_map(|name| ServiceHealth::of(*name, services));
        Self {
            services: summaries.collect(),
        }
    }
}

impl ServiceHealth {
    fn of(name: ServiceName, services: &[ServiceView]) -> Option<Self> {
        let mine: Vec<_> = services
            .iter()
            .filter(|service| service.status.name == name)
            .collect();
        let worst = mine.iter().max_by_key(|service| badness(service.status.state))?;
        let nodes: Vec<_> = mine.iter().map(|service| service.node_label.as_str()).collect();
        let restarts = mine.iter().map(|service| service.status.restarts as usize).sum();
        Some(Self {
            name,
            worst: Pill::of_service(worst.status.state),
            healthy: mine
                .iter()
                .filter(|service| service.status.state == ServiceState::Healthy)
                .count(),
            total: mine.len(),
            nodes: nodes.join(", "),
            restarts: Some(restarts)
                .filter(|n| *n > 0)
                .map(|n| count(n, "restart", "restarts")),
            detail: worst
                .status
                .detail
                .clone()
                .filter(|_| worst.status.state != ServiceState::Healthy),
        })
    }
}

fn badness(state: ServiceState) -> u8 {
    match state {
        ServiceState::Healthy => 0,
        ServiceState::Stopped => 1,
        ServiceState::Waiting => 2,
        ServiceState::Starting => 3,
        ServiceState::Stopping => 4,
        ServiceState::BackingOff => 5,
        ServiceState::Unhealthy => 6,
    }
}

// === impl Events ===

impl Events {
    pub(crate) fn new(events: &[EventView], now: DateTime<Utc>) -> Self {
        Self {
            events: events.iter().map(|event| EventLine::new(event, now)).collect(),
        }
    }
}

impl EventLine {
    fn new(event: &EventView, now: DateTime<Utc>) -> Self {
        let (tone, name, severity) = match event.severity {
            Severity::Info => (Tone::Quiet, "info", "Info"),
            Severity::Warning => (Tone::Warn, "warn", "Warning"),
            Severity::Error => (Tone::Bad, "cross", "Error"),
        };
        let place = match (&event.node_label, event.service) {
            (Some(node), Some(service)) => Some(format!("{node} · {service}")),
            (Some(node), None) => Some(node.clone()),
            (None, Some(service)) => Some(service.to_string()),
            (None, None) => None,
        };
        Self {
            at: Moment::new(event.at, now),
            tone,
            icon: icon(name),
            severity,
            place,
            message: Prose::from(event.message.as_str()),
            kind: event.kind.clone(),
        }
    }
}

// === impl Facts ===

impl Facts {
    pub(crate) fn new(cluster: &ClusterView, nodes: &[NodeView], now: DateTime<Utc>) -> Self {
        let spec = &cluster.spec;
        let workers = count(spec.workers as usize, "worker", "workers");
        let version = cluster.dag_version.as_deref();
        let have = nodes
            .iter()
            .filter(|node| version.is_some() && node.dag_version.as_deref() == version)
            .count();
        Self {
            runtime: spec.runtime.clone(),
            size: format!("{workers} × {} tasks at once", spec.worker_concurrency),
            generation: cluster.generation.0,
            dag_location: cluster.dag_location.clone(),
            dag_version: version.map(|digest| (short(digest), digest.to_owned())),
            receipt: format!("on {have} of {}", count(nodes.len(), "node", "nodes")),
            created: Moment::new(cluster.created_at, now),
            updated: Moment::new(cluster.updated_at, now),
        }
    }
}

// === handlers ===

/// Events on the overview; the activity tab has all.
const LAST_EVENTS: u32 = 8;

struct Gathered {
    operation: Option<OperationView>,
    nodes: Vec<NodeView>,
    services: Vec<ServiceView>,
    events: Vec<EventView>,
}

pub(crate) async fn show(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let gathered = gather(&console, &visit.actor, &cluster).await?;
    let page = OverviewPage::new(
        visit.frame().on(Here::Clusters),
        &gathered.of(&cluster),
        Utc::now(),
    );
    Ok(Html(page.render()?).into_response())
}

/// The parts of the page that change, for the live stream.
pub(crate) async fn fragments(
    console: &Console,
    actor: &Actor,
    cluster: &ClusterView,
) -> Result<Vec<(&'static str, String)>, Refusal> {
    let (gathered, now) = (gather(console, actor, cluster).await?, Utc::now());
    let timeline = gathered
        .operation
        .as_ref()
        .map(|operation| Timeline::new(operation, now).render())
        .transpose()?;
    Ok(vec![
        (
            "trouble",
            Trouble::new(&cluster.phase, gathered.operation.as_ref()).render()?,
        ),
        ("timeline", timeline.unwrap_or_default()),
        ("health", Health::new(&gathered.services).render()?),
        ("events", Events::new(&gathered.events, now).render()?),
        ("facts", Facts::new(cluster, &gathered.nodes, now).render()?),
    ])
}

async fn gather(console: &Console, actor: &Actor, cluster: &ClusterView) -> Result<Gathered, Refusal> {
    let app = &console.app;
    let newest = EventRange {
        limit: Some(LAST_EVENTS),
        ..EventRange::default()
    };
    let events = app.list_events(actor, Some(cluster.id), newest).await?.items;
    Ok(Gathered {
        operation: last_operation(console, actor, cluster.id).await?,
        nodes: app.list_nodes(actor, cluster.id).await?,
        services: app.list_services(actor, cluster.id).await?,
        events,
    })
}

/// The one under way, or else the latest.
async fn last_operation(
    console: &Console,
    actor: &Actor,
    cluster: ClusterId,
) -> Result<Option<OperationView>, Refusal> {
    let newest = PageRequest {
        cursor: None,
        limit: Some(1),
    };
    Ok(console
        .app
        .list_operations(actor, cluster, newest)
        .await?
        .items
        .into_iter()
        .next())
}

impl Gathered {
    fn of<'a>(&'a self, cluster: &'a ClusterView) -> Observed<'a> {
        Observed {
            cluster,
            operation: self.operation.as_ref(),
            nodes: &self.nodes,
            services: &self.services,
            events: &self.events,
        }
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_model::{ClusterRole, Phase, ServiceState};

    use super::{Events, Health, OverviewPage, Trouble};
    use crate::fixtures;

    #[test]
    fn every_state_of_the_page_is_accessible_and_within_its_budget() {
        for scene in fixtures::SCENES {
            let html = fixtures::overview(scene).render().unwrap();
            fixtures::assert_accessible(&html);
            assert!(
                html.len() < 60_000,
                "{scene}: {} bytes before compression",
                html.len()
            );
        }
    }

    #[test]
    fn a_failed_step_lies_open_with_reason_and_remedy() {
        let html = fixtures::overview("failed").render().unwrap();
        assert!(
            html.contains("What to do") && html.contains("service_cannot_start"),
            "{html}"
        );
        assert!(html.contains("bar-detail"), "{html}");
    }

    #[test]
    fn the_worst_service_speaks_for_its_kind() {
        let mut services = fixtures::services();
        services[0].status.state = ServiceState::BackingOff;
        services[0].status.detail = Some("exit code 1".into());
        let html = Health::new(&services).render().unwrap();
        assert!(
            html.contains("Backing off") && html.contains("exit code 1"),
            "{html}"
        );
    }

    #[test]
    fn degraded_says_why() {
        let html = Trouble::new(
            &Phase::Degraded {
                reasons: vec!["worker-2 is lost".into()],
            },
            None,
        )
        .render()
        .unwrap();
        assert!(html.contains("worker-2 is lost"), "{html}");
        assert_eq!(Trouble::new(&Phase::Running, None).render().unwrap().trim(), "");
    }

    #[test]
    fn a_failure_is_said_once() {
        let (phase, operation) = (fixtures::failed(), fixtures::operation("failed"));
        assert_eq!(
            Trouble::new(&phase, Some(&operation)).render().unwrap().trim(),
            ""
        );
        assert!(
            Trouble::new(&phase, None)
                .render()
                .unwrap()
                .contains("then try again")
        );
    }

    #[test]
    fn hostile_event_text_stays_text() {
        let mut events = fixtures::events();
        events[0].message = "<script>alert(1)</script>".into();
        let html = Events::new(&events, fixtures::now()).render().unwrap();
        assert!(!html.contains("<script>"), "{html}");
    }

    #[test]
    fn a_cluster_user_sees_no_form_but_the_frames() {
        let mut cluster = fixtures::cluster(1, "demo");
        cluster.role = ClusterRole::User;
        let observed = super::Observed {
            cluster: &cluster,
            operation: None,
            nodes: &[],
            services: &[],
            events: &[],
        };
        let html = OverviewPage::new(fixtures::member_frame(), &observed, fixtures::now())
            .render()
            .unwrap();
        assert!(!html.contains(r#"action="/clusters/"#), "{html}");
    }
}
