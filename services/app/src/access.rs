//! Who may do this, asked before anything else happens.

use updraft_authz::{Actor, ClusterAction, TenantAction, cluster_allows, tenant_allows};
use updraft_model::{ClusterId, ClusterRole, SessionId};
use updraft_store::clusters::{self, ClusterRecord};
use updraft_store::{PgConnection, operators, standings};

use crate::audit;
use crate::error::{AppError, Resource};
use crate::rights::Rights;
use crate::tenancy::TenancyRefusal;

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
    let rights = Rights::of(connection, actor).await?;
    let role = allowed(rights.role_on(&record.facts(), record.granted), action)?;
    Ok((record, role))
}

/// Refuses unless the actor may do `action` to a cluster that may be deleted already, for what outlives it.
pub(crate) async fn past_cluster(
    connection: &mut PgConnection,
    actor: &Actor,
    cluster: ClusterId,
    action: ClusterAction,
) -> Result<(), AppError> {
    let standing = standings::find(connection, actor.tenant, actor.user, cluster)
        .await?
        .ok_or(AppError::NotFound(Resource::Cluster))?;
    let rights = Rights::of(connection, actor).await?;
    allowed(rights.role_on(&standing.cluster, standing.granted), action).map(|_| ())
}

pub(crate) fn tenant(actor: &Actor, action: TenantAction) -> Result<(), AppError> {
    if tenant_allows(actor, action) {
        return Ok(());
    }
    Err(AppError::Forbidden {
        action: match action {
            TenantAction::CreateCluster => "create clusters",
            TenantAction::ManagePeople => "manage people",
            TenantAction::ReadAuditLog => "read the audit log",
            TenantAction::ManageAccess => "manage access rules",
            TenantAction::ManageCredentials => "manage credentials",
        },
    })
}

/// The actor's session, for what a token must never do, lest a leaked one outlives its revocation.
pub(crate) fn session(actor: &Actor, action: &'static str) -> Result<SessionId, AppError> {
    let session = actor.credential.session();
    session.ok_or(AppError::NeedsSession { action })
}

/// Refuses all but operators of the installation, who signed in with a password of their own. No token is an operator's.
pub(crate) async fn operator(
    connection: &mut PgConnection,
    actor: &Actor,
    action: &'static str,
) -> Result<(), AppError> {
    let session = session(actor, action)?;
    match operators::is_operator(connection, actor.tenant, session).await? {
        true => {
            audit::recognise_operator(actor);
            Ok(())
        }
        false => Err(TenancyRefusal::NotOperator { action }.into()),
    }
}

/// The role, if it is one that allows the action; no role at all is as good as no cluster.
fn allowed(role: Option<ClusterRole>, action: ClusterAction) -> Result<ClusterRole, AppError> {
    let role = role.ok_or(AppError::NotFound(Resource::Cluster))?;
    if cluster_allows(role, action) {
        return Ok(role);
    }
    Err(AppError::Forbidden {
        action: match action {
            ClusterAction::View => "see this cluster",
            ClusterAction::Operate => "start, stop or restart this cluster",
            ClusterAction::Change => "change this cluster",
            ClusterAction::ReadTaskLogs => "read its tasks' logs",
            ClusterAction::ReadServiceLogs => "read its services' logs",
        },
    })
}
