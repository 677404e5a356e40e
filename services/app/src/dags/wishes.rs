//! What people ask of a cluster's DAGs: a look at the sources now, a version to stay with, the sources again.

use serde_json::json;
use updraft_api::dags::SyncAsked;
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, TenantId};
use updraft_store::{PgConnection, StoreError, dag_versions, dag_wishes, event_log};

use crate::App;
use crate::audit::{Attempt, Change, attempt};
use crate::changes;
use crate::error::{AppError, Resource};

/// Fewer could be anything.
const SHORTEST_DIGEST: usize = 6;

impl App {
    /// The sources are looked at now.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`], [`AppError::ClusterDeleting`].
    pub async fn sync_dags(&self, actor: &Actor, id: ClusterId) -> Result<SyncAsked, AppError> {
        let attempt = attempt("dags.sync");
        let mut change = self
            .begin_change(actor, id, ClusterAction::Operate, attempt)
            .await?;
        change.check_not_deleting()?;
        dag_wishes::sync(&mut change.tx, actor.tenant, id).await?;
        let said = Said {
            kind: "dag_sync_requested",
            message: "asked for a look at the DAG sources",
            change: Change::none(),
        };
        answer(change, actor, said).await
    }

    /// The version stays live, whatever the sources say, until they are followed again.
    ///
    /// # Errors
    /// [`AppError::NotFound`] also for the version, [`AppError::Forbidden`], [`AppError::ClusterDeleting`];
    /// [`AppError::Invalid`] on `digest`.
    pub async fn roll_back_dags(
        &self,
        actor: &Actor,
        id: ClusterId,
        digest: &str,
    ) -> Result<SyncAsked, AppError> {
        let attempt = attempt("dags.rollback");
        let mut change = self
            .begin_change(actor, id, ClusterAction::Change, attempt)
            .await?;
        change.check_not_deleting()?;
        let digest = meant(&mut change.tx, actor.tenant, id, digest).await?;
        let before = dag_wishes::find(&mut change.tx, actor.tenant, id).await?.pinned;
        dag_wishes::pin(&mut change.tx, actor.tenant, id, Some(&digest)).await?;
        let said = Said {
            kind: "dags_rolled_back",
            message: &format!("rolled DAGs back to {}", updraft_api::dags::short(&digest)),
            change: Change::between(json!({"pinned": before}), json!({"pinned": digest})),
        };
        answer(change, actor, said).await
    }

    /// The end of a rollback.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`], [`AppError::ClusterDeleting`].
    pub async fn follow_dags(&self, actor: &Actor, id: ClusterId) -> Result<SyncAsked, AppError> {
        let attempt = attempt("dags.follow");
        let mut change = self
            .begin_change(actor, id, ClusterAction::Change, attempt)
            .await?;
        change.check_not_deleting()?;
        let before = dag_wishes::find(&mut change.tx, actor.tenant, id).await?.pinned;
        dag_wishes::pin(&mut change.tx, actor.tenant, id, None).await?;
        let said = Said {
            kind: "dags_followed",
            message: "lets DAGs follow their sources again",
            change: Change::between(json!({"pinned": before}), json!({"pinned": null})),
        };
        answer(change, actor, said).await
    }
}

/// What was written, for both logs.
struct Said<'a> {
    kind: &'a str,
    message: &'a str,
    change: Change,
}

async fn answer(change: changes::Change, actor: &Actor, said: Said<'_>) -> Result<SyncAsked, AppError> {
    let (mut tx, id) = (change.tx, change.cluster.id);
    let attempt: Attempt = change.attempt;
    let message = format!("{} {}", actor.email, said.message);
    event_log::append(&mut tx, actor.tenant, Some(id), said.kind, &message).await?;
    attempt.done(&mut tx, actor, said.change).await?;
    let sync = asked(&mut tx, actor.tenant, id).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(SyncAsked { sync })
}

/// Looks asked for so far.
pub(super) async fn asked(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: ClusterId,
) -> Result<i64, AppError> {
    Ok(dag_wishes::find(connection, tenant, id).await?.sync)
}

/// The one version whose digest begins so.
async fn meant(
    connection: &mut PgConnection,
    tenant: TenantId,
    id: ClusterId,
    digest: &str,
) -> Result<String, AppError> {
    let fine =
        digest.len() >= SHORTEST_DIGEST && digest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':');
    if !fine {
        let why = format!("give a version's digest, or at least its first {SHORTEST_DIGEST} characters");
        return Err(AppError::invalid("digest", why));
    }
    let versions = dag_versions::list(connection, tenant, id).await?;
    let mut matching = versions
        .into_iter()
        .map(|version| version.digest)
        .filter(|kept| kept.starts_with(digest));
    match (matching.next(), matching.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(AppError::invalid(
            "digest",
            "several versions begin like this: give more of it",
        )),
        (None, _) => Err(AppError::NotFound(Resource::DagVersion)),
    }
}
