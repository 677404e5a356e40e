//! What all tabs of one cluster share: name, phase, URL, and what may be done to it.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use updraft_api::rest::ClusterView;
use updraft_model::{ClusterId, ClusterRole, Phase, Power};

use crate::extract::At;
use crate::refusal::Answer;
use crate::session::Visit;
use crate::state::Console;
use crate::tone::Pill;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Overview,
    Nodes,
    Dags,
    Logs,
    Configuration,
    Access,
    Activity,
}

pub(crate) struct Head {
    pub(crate) id: ClusterId,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) pill: Pill,
    pub(crate) actions: HeadActions,
    pub(crate) may_change: bool,
    pub(crate) may_restart: bool,
    pub(crate) tab: Tab,
    /// Without scripts the page reloads itself while something is under way.
    pub(crate) changing: bool,
}

/// The buttons: also sent alone whenever they change.
#[derive(Template)]
#[template(path = "pages/head_actions.html")]
pub(crate) struct HeadActions {
    id: ClusterId,
    open: Option<String>,
    may_start: bool,
    may_stop: bool,
    may_retry: bool,
}

impl HtmlSafe for HeadActions {}

// === impl Head ===

impl Head {
    pub(crate) fn new(cluster: &ClusterView, tab: Tab) -> Self {
        let admin = cluster.role == ClusterRole::Admin;
        Self {
            id: cluster.id,
            name: cluster.name.to_string(),
            url: cluster.airflow_url.clone(),
            pill: head_pill(cluster, tab),
            actions: HeadActions::new(cluster),
            may_change: admin && cluster.power != Power::Deleted,
            may_restart: admin && cluster.power == Power::Running,
            tab,
            changing: cluster.operation.is_some(),
        }
    }

    pub(crate) fn tabs(&self) -> [(&'static str, String, bool); 7] {
        let tab = |title, end: &str, tab| (title, format!("/clusters/{}{end}", self.id), self.tab == tab);
        [
            tab("Overview", "", Tab::Overview),
            tab("Nodes & services", "/nodes", Tab::Nodes),
            tab("DAGs", "/dags", Tab::Dags),
            tab("Logs", "/logs", Tab::Logs),
            tab("Configuration", "/configuration", Tab::Configuration),
            tab("Access", "/access", Tab::Access),
            tab("Activity", "/activity", Tab::Activity),
        ]
    }

    pub(crate) fn live(&self) -> String {
        let tab = match self.tab {
            Tab::Overview => "overview",
            Tab::Nodes => "nodes",
            Tab::Dags => "dags",
            Tab::Logs | Tab::Configuration | Tab::Access => "head",
            Tab::Activity => "activity",
        };
        format!("/live/clusters/{}/{tab}", self.id)
    }
}

/// The overview says below, at length, why a cluster is not well.
pub(crate) fn head_pill(cluster: &ClusterView, tab: Tab) -> Pill {
    let pill = Pill::of_cluster(cluster);
    let said_below =
        matches!(cluster.phase, Phase::Failed { .. } | Phase::Degraded { .. }) && tab == Tab::Overview;
    if said_below {
        Pill { detail: None, ..pill }
    } else {
        pill
    }
}

// === impl HeadActions ===

impl HeadActions {
    pub(crate) fn new(cluster: &ClusterView) -> Self {
        let admin = cluster.role == ClusterRole::Admin;
        let up = matches!(cluster.phase, Phase::Running | Phase::Degraded { .. });
        let failed = matches!(cluster.phase, Phase::Failed { .. });
        let running = cluster.power == Power::Running;
        Self {
            id: cluster.id,
            open: (up && running).then(|| cluster.airflow_url.clone()),
            may_start: admin && cluster.power == Power::Stopped,
            may_stop: admin && running,
            may_retry: admin && running && failed,
        }
    }
}

// === handlers ===

pub(crate) async fn start(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    console.app.start_cluster(&visit.actor, id).await?;
    Ok(back_to(id, ""))
}

pub(crate) async fn stop(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    console.app.stop_cluster(&visit.actor, id).await?;
    Ok(back_to(id, ""))
}

pub(crate) async fn restart(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    console.app.restart_cluster(&visit.actor, id).await?;
    Ok(back_to(id, ""))
}

/// After a form: the page that shows what became of it.
pub(crate) fn back_to(id: ClusterId, tab: &str) -> Response {
    Redirect::to(&format!("/clusters/{id}{tab}")).into_response()
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_model::{ClusterRole, Phase, Power};

    use super::HeadActions;
    use crate::fixtures;

    #[test]
    fn a_running_cluster_can_be_opened_and_stopped_a_stopped_one_started() {
        let mut cluster = fixtures::cluster(1, "demo");
        let html = HeadActions::new(&cluster).render().unwrap();
        assert!(
            html.contains("Open Airflow") && html.contains("/clusters/1/stop"),
            "{html}"
        );
        (cluster.phase, cluster.power) = (Phase::Stopped, Power::Stopped);
        let html = HeadActions::new(&cluster).render().unwrap();
        assert!(
            !html.contains("Open Airflow") && html.contains("/clusters/1/start"),
            "{html}"
        );
    }

    #[test]
    fn a_failed_cluster_can_be_tried_again_or_stopped() {
        let mut cluster = fixtures::cluster(1, "demo");
        cluster.phase = fixtures::failed();
        let html = HeadActions::new(&cluster).render().unwrap();
        assert!(
            html.contains("Try again") && html.contains("/clusters/1/stop"),
            "{html}"
        );
    }

    #[test]
    fn a_cluster_user_may_only_open_it() {
        let mut cluster = fixtures::cluster(1, "demo");
        cluster.role = ClusterRole::User;
        let html = HeadActions::new(&cluster).render().unwrap();
        assert!(html.contains("Open Airflow") && !html.contains("<form"), "{html}");
    }
}
