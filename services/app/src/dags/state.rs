//! How a cluster's DAGs are: what is live where, what Airflow made of it, what is wrong with a source.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use updraft_api::agent::Report;
use updraft_api::dags::{DagParsed, DagSourceView, DagState, DagVersionView};
use updraft_api::rest::{EnvironmentState, EnvironmentView, Page};
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, CredentialName, FolderSource, NodeRole, Power};
use updraft_store::clusters::ClusterRecord;
use updraft_store::dag_versions::{self, VersionRecord};
use updraft_store::{dag_wishes, node_list, role_sessions};

use crate::environment::is_settled;
use crate::{App, AppError, access, view};

impl App {
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn show_dags(&self, actor: &Actor, id: ClusterId) -> Result<DagState, AppError> {
        let mut connection = self.store().connection().await?;
        let (cluster, _) = access::cluster(&mut connection, actor, id, ClusterAction::View).await?;
        let wishes = dag_wishes::find(&mut connection, actor.tenant, id).await?;
        let refusals = role_sessions::refusals(&mut connection, actor.tenant).await?;
        let nodes = node_list::list(&mut connection, actor.tenant, id).await?;
        let reports: Vec<_> = nodes
            .iter()
            .map(|node| {
                (
                    node.role,
                    view::latest_report(node, self.live()).map(|(_, report)| report),
                )
            })
            .collect();
        let resolver = reports
            .iter()
            .find(|(role, _)| *role == NodeRole::Scheduler)
            .and_then(|(_, report)| report.clone());
        let current = resolver.as_ref().and_then(|report| report.dag_version.clone());
        let versions = dag_versions::list(&mut connection, actor.tenant, id).await?;
        let live = versions
            .into_iter()
            .find(|version| Some(&version.digest) == current.as_ref());
        let has_it = |report: &Option<Arc<Report>>| {
            current.is_some()
                && report
                    .as_ref()
                    .is_some_and(|report| report.dag_version == current)
        };
        let on_live = reports.iter().filter(|(_, report)| has_it(report)).count();
        Ok(DagState {
            environment: packages(&cluster, resolver.as_deref()),
            sources: sources(cluster.spec.dag_sources, resolver.as_deref(), &refusals),
            live: live.map(version),
            nodes_on_live: count(on_live),
            nodes: count(reports.len()),
            pinned: wishes.pinned,
            sync: wishes.sync,
            synced: resolver.and_then(|report| report.dags.synced),
            current,
        })
    }

    /// Newest first: those that can be rolled back to.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn list_dag_versions(
        &self,
        actor: &Actor,
        id: ClusterId,
    ) -> Result<Page<DagVersionView>, AppError> {
        let mut connection = self.store().connection().await?;
        access::cluster(&mut connection, actor, id, ClusterAction::View).await?;
        let versions = dag_versions::list(&mut connection, actor.tenant, id).await?;
        Ok(Page {
            items: versions.into_iter().map(version).collect(),
            next: None,
        })
    }
}

/// What the live version brings along is under way also before it became the spec's.
fn packages(cluster: &ClusterRecord, resolver: Option<&Report>) -> Option<EnvironmentView> {
    let environment = &cluster.spec.environment;
    let has_none = environment.from_dags.is_none() && environment.plugins.is_none();
    let is_known = resolver.map_or(has_none, |report| is_settled(report, environment));
    if is_known || cluster.power != Power::Running {
        let shown = cluster.environment.clone().filter(|_| !has_none);
        return shown.and_then(view::environment);
    }
    Some(EnvironmentView {
        state: EnvironmentState::Building,
        live: environment.clone(),
        live_bootstrap: cluster.spec.bootstrap.clone(),
        failure: None,
    })
}

fn sources(
    asked: Vec<FolderSource>,
    resolver: Option<&Report>,
    refusals: &BTreeMap<CredentialName, String>,
) -> Vec<DagSourceView> {
    let trouble = |one: &FolderSource| {
        let states = &resolver?.dags.sources;
        let state = states.iter().find(|state| state.folder == one.folder.as_str())?;
        let said = state.trouble.as_ref()?;
        // A session that ended reads nothing: what is to be done is with the role.
        let refusal = one.source.credential().and_then(|name| refusals.get(name));
        Some(refusal.map_or_else(
            || said.clone(),
            |refusal| format!("{refusal}. The node says: {said}"),
        ))
    };
    asked
        .into_iter()
        .map(|one| DagSourceView {
            trouble: trouble(&one),
            folder: one.folder,
            source: one.source,
        })
        .collect()
}

/// What is stored came from reports: what cannot be read counts as nothing.
fn version(record: VersionRecord) -> DagVersionView {
    let parsed = record.parsed_at.map(|at| DagParsed {
        at,
        dags: record.dags.unwrap_or_default().unsigned_abs(),
        import_errors: record.import_errors.map(read).unwrap_or_default(),
    });
    DagVersionView {
        digest: record.digest,
        published_at: record.published_at,
        files: record.files.unsigned_abs(),
        bytes: record.bytes.unsigned_abs(),
        sources: read(record.sources),
        arrivals: read(record.arrivals),
        parsed,
    }
}

fn read<T: DeserializeOwned + Default>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap_or_default()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
