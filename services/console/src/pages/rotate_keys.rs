//! Rotating a cluster's keys: says what that means for whoever works with it, and asks.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use updraft_api::rest::ClusterView;
use updraft_model::{ClusterId, ClusterRole, Power};

use crate::extract::At;
use crate::frame::{Frame, Here};
use crate::pages::cluster::back_to;
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/rotate_keys.html")]
pub(crate) struct RotateKeysPage {
    pub(crate) frame: Frame,
    id: ClusterId,
    name: String,
    runs: bool,
    brings_database: bool,
}

// === impl RotateKeysPage ===

impl RotateKeysPage {
    pub(crate) fn new(frame: Frame, cluster: &ClusterView) -> Self {
        Self {
            frame: frame.on(Here::Clusters),
            id: cluster.id,
            name: cluster.name.to_string(),
            runs: cluster.power == Power::Running,
            brings_database: cluster.spec.metadata_database.is_some(),
        }
    }
}

// === handlers ===

pub(crate) async fn ask(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    if cluster.role != ClusterRole::Admin {
        return Err(Refusal::NoPage);
    }
    Ok(Html(RotateKeysPage::new(visit.frame(), &cluster).render()?).into_response())
}

pub(crate) async fn rotate(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    console.app.rotate_keys(&visit.actor, id).await?;
    Ok(back_to(id, ""))
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use updraft_model::Power;

    use super::RotateKeysPage;
    use crate::fixtures;

    #[test]
    fn it_says_that_a_running_cluster_ends_and_starts_and_asks() {
        let mut cluster = fixtures::cluster(1, "demo");
        let html = RotateKeysPage::new(fixtures::frame(), &cluster).render().unwrap();
        fixtures::assert_accessible(&html);
        assert!(
            html.contains("/clusters/1/rotate-keys") && html.contains("new ones start"),
            "{html}"
        );
        cluster.power = Power::Stopped;
        let html = RotateKeysPage::new(fixtures::frame(), &cluster).render().unwrap();
        assert!(
            html.contains("next start") && !html.contains("new ones start"),
            "{html}"
        );
    }
}
