//! One operation's timeline at a URL of its own, to be kept and sent around.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use chrono::{DateTime, TimeDelta, Utc};
use updraft_api::rest::{ClusterView, OperationView};
use updraft_model::{ClusterId, ClusterRole, OperationId};
use url::form_urlencoded::Serializer;

use super::cluster::{Head, Tab};
use crate::extract::At;
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::timeline::Timeline;

#[derive(Template)]
#[template(path = "pages/operation.html")]
pub(crate) struct OperationPage {
    pub(crate) frame: Frame,
    pub(crate) head: Head,
    pub(crate) timeline: Timeline,
    /// Whether it is the one that the live stream tells about.
    live: bool,
    /// For whoever may read what services wrote meanwhile.
    logs: Option<String>,
}

// === impl OperationPage ===

impl OperationPage {
    pub(crate) fn new(
        frame: Frame,
        cluster: &ClusterView,
        operation: &OperationView,
        now: DateTime<Utc>,
    ) -> Self {
        let live = cluster.operation == Some(operation.id);
        let tab = if live { Tab::Overview } else { Tab::Activity };
        Self {
            frame,
            head: Head::new(cluster, tab),
            timeline: Timeline::new(operation, now),
            live,
            logs: (cluster.role == ClusterRole::Admin).then(|| logs_of(operation)),
        }
    }
}

/// What was written while it ran, and a little after.
fn logs_of(operation: &OperationView) -> String {
    let time = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut query = Serializer::new(String::new());
    query.append_pair("service", "services");
    query.append_pair("since", &time(operation.created_at));
    if let Some(end) = operation.finished_at {
        query.append_pair("until", &time(end + TimeDelta::seconds(10)));
    }
    format!("/clusters/{}/logs?{}", operation.cluster, query.finish())
}

// === handlers ===

pub(crate) async fn show(
    State(console): State<Console>,
    visit: Visit,
    At((id, operation)): At<(ClusterId, OperationId)>,
) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let operation = console.app.show_operation(&visit.actor, operation).await?;
    if operation.cluster != id {
        return Err(Refusal::NoPage);
    }
    let page = OperationPage::new(visit.frame().on(Here::Clusters), &cluster, &operation, Utc::now());
    Ok(Html(page.render()?).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::OperationPage;
    use crate::fixtures;

    #[test]
    fn an_operation_has_a_page_of_its_own() {
        for scene in ["running", "failed"] {
            let (cluster, operation) = (fixtures::cluster(1, "demo"), fixtures::operation(scene));
            let html = OperationPage::new(fixtures::frame(), &cluster, &operation, fixtures::now())
                .render()
                .unwrap();
            fixtures::assert_accessible(&html);
            assert!(html.contains("chart-group"), "{html}");
            assert!(
                html.contains("/clusters/1/logs?service=services&#38;since=2026"),
                "{html}"
            );
        }
    }
}
