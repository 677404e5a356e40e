//! One cluster at a glance: what is happening, whether it is healthy, what happened last.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use chrono::{DateTime, Utc};
use updraft_api::rest::{ClusterView, EventView, NodeView, OperationView, ServiceView};
use updraft_app::{Actor, EventRange, PageRequest};
use updraft_model::ClusterId;

use super::cluster::{Head, Tab};
use super::events::Events;
use super::facts::Facts;
use super::health::Health;
use super::trouble::Trouble;
use crate::extract::At;
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::timeline::Timeline;

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

/// All that the page shows, as the use cases gave it.
pub(crate) struct Observed<'a> {
    pub(crate) cluster: &'a ClusterView,
    pub(crate) operation: Option<&'a OperationView>,
    pub(crate) nodes: &'a [NodeView],
    pub(crate) services: &'a [ServiceView],
    pub(crate) events: &'a [EventView],
}

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
    let nodes = app.list_nodes(actor, cluster.id).await?;
    Ok(Gathered {
        operation: last_operation(console, actor, cluster.id).await?,
        services: services(&nodes),
        nodes,
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

/// The same that `list_services` answers, without asking for the nodes twice.
fn services(nodes: &[NodeView]) -> Vec<ServiceView> {
    let of = |node: &NodeView| {
        let (id, label, statuses) = (node.id, node.label.clone(), node.services.clone());
        statuses.into_iter().map(move |status| ServiceView {
            node: id,
            node_label: label.clone(),
            status,
        })
    };
    nodes.iter().flat_map(of).collect()
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
    use updraft_model::ClusterRole;

    use super::OverviewPage;
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
