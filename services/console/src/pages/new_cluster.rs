//! A new cluster: everything has a good default, so that a name is enough.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use indexmap::IndexMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use updraft_api::rest::NewCluster;
use updraft_app::AwsAccountChoice;
use updraft_authz::{TenantAction, tenant_allows};
use updraft_model::{Broker, ClusterName, FolderSource, IdleStop, Schedule, WorkerQueue};

use super::cluster::back_to;
use super::{dags, tags, worker_queues};
use crate::error::Complaint;
use crate::extract::Sent;
use crate::frame::{Frame, Here};
use crate::refusal::{Answer, Refusal};
use crate::session::Visit;
use crate::state::Console;

#[derive(Template)]
#[template(path = "pages/new_cluster.html")]
pub(crate) struct NewClusterPage {
    pub(crate) frame: Frame,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) form: NewClusterForm,
    pub(crate) runtimes: Vec<String>,
    pub(crate) places: AwsAccountChoice,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NewClusterForm {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) runtime: String,
    /// Empty: the installation's own, or the only one.
    #[serde(default)]
    pub(crate) aws_account: String,
    #[serde(default)]
    pub(crate) broker: Broker,
    pub(crate) workers: u32,
    pub(crate) worker_concurrency: u32,
    /// One queue a line, as `updraft cluster create --worker-queue` takes it.
    #[serde(default)]
    pub(crate) worker_queues: String,
    /// One source a line, as `updraft cluster create --dags` takes it; empty: the cluster's own bucket.
    #[serde(default)]
    pub(crate) dags: String,
    /// One `key=value` a line.
    #[serde(default)]
    pub(crate) tags: String,
    /// `end`, `keep`, or empty: as its account or the installation says.
    #[serde(default)]
    pub(crate) on_stop: String,
    /// Of a metadata database of the tenant's own; empty: one is made. Never shown again, not even with a complaint.
    #[serde(default)]
    pub(crate) metadata_dsn: Option<SecretString>,
    /// Certificates in PEM that its server is held to.
    #[serde(default)]
    pub(crate) metadata_ca: String,
    /// A checkbox: absent when it is off.
    #[serde(default)]
    pub(crate) start: Option<String>,
}

// === impl NewClusterForm ===

impl Default for NewClusterForm {
    fn default() -> Self {
        Self {
            name: String::new(),
            runtime: String::new(),
            aws_account: String::new(),
            broker: Broker::default(),
            workers: 1,
            worker_concurrency: 2,
            worker_queues: String::new(),
            dags: String::new(),
            tags: String::new(),
            on_stop: String::new(),
            metadata_dsn: None,
            metadata_ca: String::new(),
            start: Some("yes".to_owned()),
        }
    }
}

impl NewClusterForm {
    fn wish(&self, name: ClusterName, sources: Vec<FolderSource>, queues: Vec<WorkerQueue>) -> NewCluster {
        let says_default = queues.iter().any(|queue| queue.name.is_default());
        NewCluster {
            name,
            runtime: Some(self.runtime.clone()).filter(|runtime| !runtime.is_empty()),
            aws_account: self.aws_account.parse().ok(),
            broker: self.broker,
            workers: Some(self.workers).filter(|_| !says_default),
            worker_concurrency: Some(self.worker_concurrency).filter(|_| !says_default),
            worker_queues: queues,
            dag_sources: Some(sources).filter(|sources| !sources.is_empty()),
            config: IndexMap::new(),
            environment: None,
            environment_variables: IndexMap::new(),
            bootstrap: None,
            schedule: Schedule::default(),
            stop_when_idle: IdleStop::default(),
            on_stop: self.on_stop.parse().ok(),
            metadata_dsn: self
                .metadata_dsn
                .clone()
                .filter(|dsn| !dsn.expose_secret().trim().is_empty()),
            metadata_ca: Some(self.metadata_ca.clone()).filter(|pem| !pem.trim().is_empty()),
            logs: None,
            tags: tags::read(&self.tags),
            start: Some(self.start.is_some()),
        }
    }
}

// === impl NewClusterPage ===

impl NewClusterPage {
    pub(crate) fn new(
        frame: Frame,
        runtimes: Vec<String>,
        form: NewClusterForm,
        complaint: Option<Complaint>,
    ) -> Self {
        Self {
            frame: frame.on(Here::Clusters),
            complaint,
            form,
            runtimes,
            places: AwsAccountChoice::default(),
        }
    }
}

// === handlers ===

pub(crate) async fn show(State(console): State<Console>, visit: Visit) -> Answer {
    if !tenant_allows(&visit.actor, TenantAction::CreateCluster) {
        return Err(Refusal::NoPage);
    }
    draw(&console, &visit, NewClusterForm::default(), None).await
}

pub(crate) async fn create(
    State(console): State<Console>,
    visit: Visit,
    Sent(form): Sent<NewClusterForm>,
) -> Answer {
    let name = match form.name.trim().parse::<ClusterName>() {
        Ok(name) => name,
        Err(error) => {
            let next = "Choose another name.";
            let refused = (
                StatusCode::UNPROCESSABLE_ENTITY,
                Complaint::new(error.to_string(), next),
            );
            return draw(&console, &visit, form, Some(refused)).await;
        }
    };
    let sources = match dags::read(&form.dags) {
        Ok(sources) => sources,
        Err(complaint) => {
            let refused = (StatusCode::UNPROCESSABLE_ENTITY, complaint);
            return draw(&console, &visit, form, Some(refused)).await;
        }
    };
    let queues = match worker_queues::read(&form.worker_queues).map_err(Refusal::from) {
        Ok(queues) => queues,
        Err(failure) => {
            let refused = (failure.status(), failure.complaint());
            return draw(&console, &visit, form, Some(refused)).await;
        }
    };
    match console
        .app
        .create_cluster(&visit.actor, form.wish(name, sources, queues))
        .await
        .map_err(Refusal::from)
    {
        Ok(accepted) => Ok(back_to(accepted.cluster.id, "")),
        Err(failure) if failure.correctable() => {
            let refused = (failure.status(), failure.complaint());
            draw(&console, &visit, form, Some(refused)).await
        }
        Err(failure) => Err(failure),
    }
}

async fn draw(
    console: &Console,
    visit: &Visit,
    form: NewClusterForm,
    refused: Option<(StatusCode, Complaint)>,
) -> Answer {
    let (status, complaint) = refused.map_or((StatusCode::OK, None), |(status, complaint)| {
        (status, Some(complaint))
    });
    let places = console.app.aws_account_choice(&visit.actor).await?;
    let page = NewClusterPage {
        places,
        ..NewClusterPage::new(visit.frame(), console.app.runtime_names(), form, complaint)
    };
    Ok((status, Html(page.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::{NewClusterForm, NewClusterPage};
    use crate::error::Complaint;
    use crate::fixtures;

    #[test]
    fn a_name_is_enough_and_a_refused_one_is_kept() {
        let runtimes = vec!["airflow-3.3.2".to_owned()];
        let html = NewClusterPage::new(
            fixtures::frame(),
            runtimes.clone(),
            NewClusterForm::default(),
            None,
        );
        fixtures::assert_accessible(&html.render().unwrap());
        let form = NewClusterForm {
            name: "Bad Name".into(),
            ..NewClusterForm::default()
        };
        let complaint = Complaint::new("`Bad Name` is not a cluster name.", "Use a-z.");
        let html = NewClusterPage::new(fixtures::frame(), runtimes, form, Some(complaint))
            .render()
            .unwrap();
        assert!(
            html.contains(r#"value="Bad Name""#) && html.contains(r#"role="alert""#),
            "{html}"
        );
    }

    #[test]
    fn a_way_to_a_database_is_passed_on_and_never_shown_again() {
        let form = NewClusterForm {
            metadata_dsn: Some("postgresql://ada:hunter22@db/airflow".to_owned().into()),
            metadata_ca: " ".to_owned(),
            ..NewClusterForm::default()
        };
        assert!(!format!("{form:?}").contains("hunter22"));
        let wish = form.wish("demo".parse().unwrap(), Vec::new(), Vec::new());
        assert!(wish.metadata_dsn.is_some() && wish.metadata_ca.is_none());
        let complaint = Complaint::new("it names no host", "Correct it.");
        let html = NewClusterPage::new(fixtures::frame(), Vec::new(), form, Some(complaint));
        let html = html.render().unwrap();
        assert!(!html.contains("hunter22"), "{html}");
        fixtures::assert_accessible(&html);
        let empty = NewClusterForm {
            metadata_dsn: Some(String::new().into()),
            ..NewClusterForm::default()
        };
        let wish = empty.wish("demo".parse().unwrap(), Vec::new(), Vec::new());
        assert!(wish.metadata_dsn.is_none());
    }
}
