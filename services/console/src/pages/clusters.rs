//! All clusters the viewer may see, each with the one button that is right next.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use serde::Deserialize;
use updraft_api::rest::ClusterView;
use updraft_app::{Actor, PageRequest};
use updraft_model::{ClusterId, ClusterRole, Phase, Power};

use crate::extract::Asked;
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;
use crate::text::short;
use crate::tone::Pill;

#[derive(Template)]
#[template(path = "pages/clusters.html")]
pub(crate) struct ClustersPage {
    pub(crate) frame: Frame,
    pub(crate) query: String,
    pub(crate) any: bool,
    pub(crate) may_create: bool,
    pub(crate) rows: Rows,
}

/// The table's body: also sent alone whenever a row changes.
#[derive(Template)]
#[template(path = "pages/cluster_rows.html")]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    pub(crate) query: String,
}

pub(crate) struct Row {
    id: ClusterId,
    name: String,
    pill: Pill,
    runtime: String,
    nodes_ready: u32,
    nodes_wanted: u32,
    dag_version: Option<String>,
    next: Next,
}

/// What one would press next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Open(String),
    Start,
    Watch,
    SeeWhy,
    Nothing,
}

impl HtmlSafe for Rows {}

// === impl ClustersPage ===

impl ClustersPage {
    pub(crate) fn new(frame: Frame, clusters: &[ClusterView], query: &str) -> Self {
        let may_create = frame.viewer.as_ref().is_some_and(|viewer| viewer.owner);
        let rows = Rows::new(clusters, query);
        Self {
            frame,
            query: query.to_owned(),
            any: !clusters.is_empty(),
            may_create,
            rows,
        }
    }
}

// === impl Rows ===

impl Rows {
    pub(crate) fn new(clusters: &[ClusterView], query: &str) -> Self {
        let wanted = query.trim().to_lowercase();
        let matches = |cluster: &&ClusterView| {
            cluster.name.as_str().contains(&wanted)
                || cluster.id.to_string() == wanted
                || cluster.phase.word() == wanted
                || cluster.spec.runtime.contains(&wanted)
        };
        let rows = clusters.iter().filter(matches).map(Row::new).collect();
        Self {
            rows,
            query: query.to_owned(),
        }
    }
}

// === impl Row ===

impl Row {
    fn new(cluster: &ClusterView) -> Self {
        Self {
            id: cluster.id,
            name: cluster.name.to_string(),
            pill: Pill::of_cluster(cluster),
            runtime: cluster.spec.runtime.clone(),
            nodes_ready: cluster.nodes_ready,
            nodes_wanted: cluster.nodes_wanted,
            dag_version: cluster.dag_version.as_deref().map(short),
            next: next(cluster),
        }
    }
}

pub(crate) fn next(cluster: &ClusterView) -> Next {
    let admin = cluster.role == ClusterRole::Admin;
    match (&cluster.phase, cluster.power) {
        (_, Power::Deleted) | (Phase::Stopped, Power::Running) | (Phase::Running, Power::Stopped) => {
            Next::Watch
        }
        (Phase::Starting { .. }, _) => Next::Watch,
        (Phase::Stopped, _) if admin => Next::Start,
        (Phase::Stopped, _) => Next::Nothing,
        (Phase::Running, _) => Next::Open(cluster.airflow_url.clone()),
        (Phase::Stopping | Phase::Deleting, _) => Next::Watch,
        (Phase::Degraded { .. } | Phase::Failed { .. }, _) => Next::SeeWhy,
    }
}

// === handlers ===

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Search {
    q: String,
}

pub(crate) async fn show(
    State(console): State<Console>,
    visit: Visit,
    Asked(search): Asked<Search>,
) -> Answer {
    let all = all(&console, &visit.actor).await?;
    let page = ClustersPage::new(visit.frame().on(Here::Clusters), &all, &search.q);
    Ok(Html(page.render()?).into_response())
}

pub(crate) async fn all(console: &Console, actor: &Actor) -> Result<Vec<ClusterView>, Refusal> {
    let mut all = Vec::new();
    let mut request = PageRequest {
        cursor: None,
        limit: Some(200),
    };
    loop {
        let page = console.app.list_clusters(actor, request.clone()).await?;
        all.extend(page.items);
        request.cursor = page.next;
        if request.cursor.is_none() {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_model::{ClusterRole, Phase, Power};

    use super::{ClustersPage, Next, Rows, next};
    use crate::fixtures;

    #[test]
    fn the_button_is_the_right_next_one() {
        let mut cluster = fixtures::cluster(1, "demo");
        assert_eq!(next(&cluster), Next::Open(cluster.airflow_url.clone()));
        cluster.phase = fixtures::failed();
        assert_eq!(next(&cluster), Next::SeeWhy);
        cluster.phase = Phase::Stopped;
        assert_eq!(next(&cluster), Next::Watch, "it was asked to run");
        cluster.power = Power::Stopped;
        assert_eq!(next(&cluster), Next::Start);
        cluster.role = ClusterRole::User;
        assert_eq!(next(&cluster), Next::Nothing, "a user may not start it");
    }

    #[test]
    fn without_clusters_there_is_one_sentence_one_button_and_the_command_line() {
        let html = ClustersPage::new(fixtures::frame(), &[], "").render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(html.contains("updraft cluster create"), "{html}");
        assert_eq!(html.matches(r#"href="/clusters/new""#).count(), 1);
    }

    #[test]
    fn a_member_is_not_offered_what_only_an_owner_may_do() {
        let html = ClustersPage::new(fixtures::member_frame(), &[], "")
            .render()
            .unwrap();
        assert!(
            !html.contains("/clusters/new") && !html.contains("/people"),
            "{html}"
        );
    }

    #[test]
    fn clusters_are_found_by_name_id_phase_and_runtime() {
        let clusters = [fixtures::cluster(1, "demo"), fixtures::cluster(17, "billing")];
        for (query, found) in [
            ("", 2),
            ("bil", 1),
            ("17", 1),
            ("running", 2),
            ("3.3.2", 2),
            ("nothing", 0),
        ] {
            assert_eq!(Rows::new(&clusters, query).rows.len(), found, "{query}");
        }
    }
}
