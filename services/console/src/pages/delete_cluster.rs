//! Deleting a cluster: says what is lost and asks for its name.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use serde::Deserialize;
use updraft_api::rest::ClusterView;
use updraft_model::{ClusterId, ClusterRole};

use crate::error::Complaint;
use crate::extract::{At, Sent};
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/delete_cluster.html")]
pub(crate) struct DeleteClusterPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    id: ClusterId,
    name: String,
    url: String,
    /// The tenant's own, which stays.
    database: Option<String>,
}

// === impl DeleteClusterPage ===

impl DeleteClusterPage {
    pub(crate) fn new(frame: Frame, cluster: &ClusterView, complaint: Option<Complaint>) -> Self {
        Self {
            frame: frame.on(Here::Clusters),
            complaint,
            id: cluster.id,
            name: cluster.name.to_string(),
            url: cluster.airflow_url.clone(),
            database: cluster.spec.metadata_database.as_ref().map(ToString::to_string),
        }
    }
}

// === handlers ===

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Confirmation {
    confirm: String,
}

pub(crate) async fn ask(State(console): State<Console>, visit: Visit, At(id): At<ClusterId>) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    if cluster.role != ClusterRole::Admin {
        return Err(Refusal::NoPage);
    }
    Ok(Html(DeleteClusterPage::new(visit.frame(), &cluster, None).render()?).into_response())
}

pub(crate) async fn delete(
    State(console): State<Console>,
    visit: Visit,
    At(id): At<ClusterId>,
    Sent(said): Sent<Confirmation>,
) -> Answer {
    let cluster = console.app.show_cluster(&visit.actor, id).await?;
    if said.confirm.trim() != cluster.name.as_str() {
        let complaint = Complaint::new(
            "That is not its name, so nothing was deleted.",
            "Type the name as shown below.",
        );
        let page = DeleteClusterPage::new(visit.frame(), &cluster, Some(complaint));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Html(page.render()?)).into_response());
    }
    console.app.delete_cluster(&visit.actor, id).await?;
    Ok(Redirect::to("/clusters").into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::DeleteClusterPage;
    use crate::fixtures;

    #[test]
    fn it_says_what_is_lost_and_asks_for_the_name() {
        let html = DeleteClusterPage::new(fixtures::frame(), &fixtures::cluster(1, "demo"), None)
            .render()
            .unwrap();
        fixtures::assert_accessible(&html);
        assert!(
            html.contains("database") && html.contains(r#"name="confirm""#),
            "{html}"
        );
    }
}
