//! What was asked of one cluster and what happened to it.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use updraft_api::rest::{ClusterView, EventView, OperationView};
use updraft_app::{Actor, EventRange, PageRequest};
use updraft_model::{ClusterId, EventId, OperationId, OperationState};

use super::cluster::{Head, Tab};
use super::events::Events;
use crate::extract::{Asked, At};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::text::{Moment, duration};
use crate::timeline::title;
use crate::tone::Pill;

#[derive(Template)]
#[template(path = "pages/activity.html")]
pub(crate) struct ActivityPage {
    pub(crate) frame: Frame,
    pub(crate) head: Head,
    pub(crate) operations: Operations,
    pub(crate) events: Events,
    /// Cursor of the older events.
    pub(crate) older: Option<String>,
    pub(crate) newest: bool,
}

#[derive(Template)]
#[template(path = "pages/operations.html")]
pub(crate) struct Operations {
    cluster: ClusterId,
    operations: Vec<Row>,
}

struct Row {
    id: OperationId,
    title: &'static str,
    state: Pill,
    why: Option<String>,
    who: String,
    at: Moment,
    took: String,
}

impl HtmlSafe for Operations {}

// === impl Operations ===

impl Operations {
    pub(crate) fn new(cluster: ClusterId, operations: &[OperationView], now: DateTime<Utc>) -> Self {
        Self {
            cluster,
            operations: operations
                .iter()
                .map(|operation| Row::new(operation, now))
                .collect(),
        }
    }
}

impl Row {
    fn new(operation: &OperationView, now: DateTime<Utc>) -> Self {
        Self {
            id: operation.id,
            title: title(operation.kind, OperationState::Succeeded),
            state: Pill::of_operation(operation.state),
            why: operation.failure.as_ref().map(|failure| failure.message.clone()),
            who: operation
                .requested_by
                .clone()
                .unwrap_or_else(|| "Updraft".to_owned()),
            at: Moment::new(operation.created_at, now),
            took: duration(operation.finished_at.unwrap_or(now) - operation.created_at),
        }
    }
}

// === impl ActivityPage ===

impl ActivityPage {
    pub(crate) fn new(
        frame: Frame,
        cluster: &ClusterView,
        operations: &[OperationView],
        events: &[EventView],
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            frame,
            head: Head::new(cluster, Tab::Activity),
            operations: Operations::new(cluster.id, operations, now),
            events: Events::new(events, now),
            older: None,
            newest: true,
        }
    }
}

// === handlers ===

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Since {
    cursor: Option<EventId>,
}

pub(crate) async fn show(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Asked(from): Asked<Since>,
) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let newest = from.cursor.is_none();
    let older = EventRange {
        before: from.cursor,
        ..EventRange::default()
    };
    let operations = console
        .app
        .list_operations(&visit.actor, id, PageRequest::default())
        .await?
        .items;
    let events = console.app.list_events(&visit.actor, Some(id), older).await?;
    let frame = visit.frame().on(Here::Clusters);
    let page = ActivityPage::new(frame, &cluster, &operations, &events.items, Utc::now());
    Ok(Html(
        ActivityPage {
            older: events.next,
            newest,
            ..page
        }
        .render()?,
    )
    .into_response())
}

/// The parts of the page that change, for the live stream.
pub(crate) async fn fragments(
    console: &Console,
    actor: &Actor,
    cluster: &ClusterView,
) -> Result<Vec<(&'static str, String)>, Refusal> {
    let operations = console
        .app
        .list_operations(actor, cluster.id, PageRequest::default())
        .await?
        .items;
    let events = console
        .app
        .list_events(actor, Some(cluster.id), EventRange::default())
        .await?
        .items;
    let now = Utc::now();
    Ok(vec![
        (
            "operations",
            Operations::new(cluster.id, &operations, now).render()?,
        ),
        ("events", Events::new(&events, now).render()?),
    ])
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::ActivityPage;
    use crate::fixtures;

    #[test]
    fn operations_and_events_are_listed_or_explained() {
        let cluster = fixtures::cluster(1, "demo");
        let operations = [fixtures::operation("running"), fixtures::operation("failed")];
        let page = ActivityPage::new(
            fixtures::frame(),
            &cluster,
            &operations,
            &fixtures::events(),
            fixtures::now(),
        );
        let html = page.render().unwrap();
        fixtures::assert_accessible(&html);
        assert_eq!(html.matches("/clusters/1/operations/").count(), 2, "{html}");
        let html = ActivityPage::new(fixtures::frame(), &cluster, &[], &[], fixtures::now())
            .render()
            .unwrap();
        fixtures::assert_accessible(&html);
        assert!(
            html.contains("Nothing was asked") && html.contains("Nothing has happened"),
            "{html}"
        );
    }
}
