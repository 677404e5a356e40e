//! Who may do this, asked before anything else happens.

use updraft_authz::{Actor, ClusterAction, TenantAction, cluster_allows, cluster_role, tenant_allows};
use updraft_model::{ClusterId, ClusterRole, SessionId};
use updraft_store::PgConnection;
use updraft_store::clusters::{self, ClusterRecord};

use crate::error::{AppError, Resource};

/// A cluster that the actor may do `action` to, and their role on it.
pub(crate) async fn cluster(
    connection: &mut PgConnection,
    actor: &Actor,
    cluster: ClusterId,
    action: ClusterAction,
) -> Result<(ClusterRecord, ClusterRole), AppError> {
    let record = clusters::find(connection, actor.tenant, actor.user, cluster)
        .await?
        .ok_or(AppError::NotFound(Resource::Cluster))?;
    let role = allowed(actor, record.granted, action)?;
    Ok((record, role))
}

/// Refuses unless the actor may do `action` to a cluster that may be deleted already, for what outlives it.
pub(crate) async fn past_cluster(
    connection: &mut PgConnection,
    actor: &Actor,
    cluster: ClusterId,
    action: ClusterAction,
) -> Result<(), AppError> {
    let granted = clusters::granted_role(connection, actor.tenant, actor.user, cluster)
        .await?
        .ok_or(AppError::NotFound(Resource::Cluster))?;
    allowed(actor, granted, action).map(|_| ())
}

pub(crate) fn tenant(actor: &Actor, action: TenantAction) -> Result<(), AppError> {
    if tenant_allows(actor, action) {
        return Ok(());
    }
    Err(AppError::Forbidden {
        action: match action {
            TenantAction::CreateCluster => "create clusters",
            TenantAction::ManagePeople => "manage people",
        },
    })
}

/// The actor's session, for what a token must never do, lest a leaked one outlives its revocation.
pub(crate) fn session(actor: &Actor, action: &'static str) -> Result<SessionId, AppError> {
    let session = actor.credential.session();
    session.ok_or(AppError::NeedsSession { action })
}

/// Whether the actor sees the whole tenant rather than what was granted.
pub(crate) fn sees_all(actor: &Actor) -> bool {
    cluster_role(actor.tenant_role, None).is_some()
}

pub(crate) fn allowed(
    actor: &Actor,
    granted: Option<ClusterRole>,
    action: ClusterAction,
) -> Result<ClusterRole, AppError> {
    let role = cluster_role(actor.tenant_role, granted)
        .and_then(|(role, _)| actor.credential.cap(role))
        .ok_or(AppError::NotFound(Resource::Cluster))?;
    if cluster_allows(role, action) {
        return Ok(role);
    }
    Err(AppError::Forbidden {
        action: match action {
            ClusterAction::View => "see this cluster",
            ClusterAction::Operate => "start, stop or restart this cluster",
            ClusterAction::Change => "change this cluster",
        },
    })
}
