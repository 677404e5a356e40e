//! A cluster's logs: the newest lines of a question, older ones on the way up, new ones as they are shipped.
//!
//! Whose logs may be read is decided by the use case, for the page, its fragments, the text and the stream alike. What
//! tasks wrote is for everyone with a role on the cluster; services' logs are for its admins.

mod asked;
mod lines;
mod live;
mod text;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use chrono::{DateTime, Utc};
use updraft_api::logs::LogPage;
use updraft_api::rest::ClusterView;
use updraft_model::{ClusterId, ClusterRole};

use super::cluster::{Head, Tab};
use crate::error::Complaint;
use crate::extract::{Asked, At};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;

pub(crate) use asked::Wanted;
use lines::Lines;
pub(crate) use live::stream;
pub(crate) use text::text;

/// What can be asked for besides tasks, in the order of interest.
const SERVICES: [&str; 10] = [
    "scheduler",
    "dag-processor",
    "triggerer",
    "api-server",
    "worker",
    "flower",
    "broker",
    "results",
    "agent",
    "bootstrap",
];

#[derive(Template)]
#[template(path = "pages/logs.html")]
pub(crate) struct LogsPage {
    pub(crate) frame: Frame,
    pub(crate) head: Head,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) asked: Wanted,
    /// Labels of the nodes that there are, and the one that is asked for.
    pub(crate) nodes: Vec<String>,
    pub(crate) admin: bool,
    pub(crate) lines: Lines,
    /// Lines can still be added at the end of what is asked for.
    pub(crate) open_ended: bool,
    /// Where new lines begin that are not on the page: microseconds since 1970.
    pub(crate) from: i64,
}

// === impl LogsPage ===

impl LogsPage {
    pub(crate) fn new(
        frame: Frame,
        cluster: &ClusterView,
        asked: Wanted,
        found: &LogPage,
        now: DateTime<Utc>,
    ) -> Self {
        let admin = cluster.role == ClusterRole::Admin;
        Self {
            frame,
            head: Head::new(cluster, Tab::Logs),
            complaint: None,
            nodes: Vec::new(),
            admin,
            lines: Lines::new(cluster.id, &asked, found),
            open_ended: asked.is_open_ended(),
            from: found.lines.last().map_or(now, |line| line.at).timestamp_micros(),
            asked,
        }
    }

    /// With those that are there to choose from.
    pub(crate) fn with_nodes(self, labels: impl Iterator<Item = String>) -> Self {
        let asked = Some(self.asked.node.trim().to_owned()).filter(|node| !node.is_empty());
        let mut nodes: Vec<_> = labels.chain(asked).collect();
        nodes.sort();
        nodes.dedup();
        Self { nodes, ..self }
    }

    fn services(&self) -> impl Iterator<Item = &'static str> {
        SERVICES.into_iter().filter(|_| self.admin)
    }

    /// An address of this question, with what is given.
    fn address(&self, below: &str, extra: &[(&str, &str)]) -> String {
        self.asked.address(self.head.id, below, extra)
    }

    fn live(&self) -> String {
        let query = self.asked.query_string(&[("from", &self.from.to_string())]);
        format!("/live/clusters/{}/logs{query}", self.head.id)
    }
}

// === handlers ===

pub(crate) async fn show(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Asked(asked): Asked<Wanted>,
) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let asked = asked.for_role(cluster.role);
    let nodes = console.app.list_nodes(&visit.actor, id).await?;
    let (now, frame) = (Utc::now(), visit.frame().on(Here::Clusters));
    let (status, found, complaint) = match found(&console, &visit, id, &asked, now).await {
        Ok(found) => (StatusCode::OK, found, None),
        Err(refusal) if refusal.correctable() => {
            (refusal.status(), LogPage::default(), Some(refusal.complaint()))
        }
        Err(refusal) => return Err(refusal),
    };
    let page = LogsPage {
        complaint,
        ..LogsPage::new(frame, &cluster, asked, &found, now)
            .with_nodes(nodes.into_iter().map(|node| node.label))
    };
    Ok((status, Html(page.render()?)).into_response())
}

/// Older lines alone, for the page that is there already.
pub(crate) async fn older(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Asked(asked): Asked<Wanted>,
) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    let asked = asked.for_role(cluster.role);
    let found = found(&console, &visit, id, &asked, Utc::now()).await?;
    Ok(Html(Lines::new(id, &asked, &found).render()?).into_response())
}

async fn found(
    console: &Console,
    visit: &Visit,
    id: ClusterId,
    asked: &Wanted,
    now: DateTime<Utc>,
) -> Result<LogPage, Refusal> {
    let query = asked.query(now)?;
    Ok(console.app.list_logs(&visit.actor, id, query).await?)
}

#[cfg(test)]
mod tests;
