//! Roles on single clusters: cluster admins give and take them.

use serde_json::{Value, json};
use updraft_api::rest::{GrantView, Page, PutGrant};
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, ClusterRole, UserId};
use updraft_store::grants::{self, GrantRecord};
use updraft_store::{StoreError, event_log, people, standings};

use crate::audit::{self, Target, attempt};
use crate::error::{AppError, Resource};
use crate::page::{ByAddress, page};
use crate::{App, PageRequest, access};

impl App {
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`]; [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_grants(
        &self,
        actor: &Actor,
        id: ClusterId,
        request: PageRequest,
    ) -> Result<Page<GrantView>, AppError> {
        let mut connection = self.store().connection().await?;
        access::cluster(&mut connection, actor, id, ClusterAction::Change).await?;
        let (limit, after) = (request.limit()?, request.position::<ByAddress>()?);
        let after = after.as_ref().map(|at| (at.email.as_str(), at.user));
        let records = grants::list(&mut connection, actor.tenant, id, after, limit + 1).await?;
        let at = |record: &GrantRecord| ByAddress::new(&record.email, record.user).to_string();
        Ok(page(records, limit, at, grant))
    }

    /// Gives a member of the tenant a role on the cluster, or changes it.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for the cluster or the person, [`AppError::Forbidden`].
    pub async fn put_grant(
        &self,
        actor: &Actor,
        id: ClusterId,
        user: UserId,
        put: PutGrant,
    ) -> Result<GrantView, AppError> {
        let attempt = attempt("grant.put").on(Target::new("cluster", id, None));
        let mut tx = self.store().begin().await?;
        let (cluster, _) = access::cluster(&mut tx, actor, id, ClusterAction::Change).await?;
        let attempt = attempt.on(Target::cluster(id, &cluster.name));
        let member = people::find_member(&mut tx, actor.tenant, user)
            .await?
            .ok_or(AppError::NotFound(Resource::Person))?;
        let had = standings::find(&mut tx, actor.tenant, user, id)
            .await?
            .and_then(|standing| standing.granted);
        grants::put(&mut tx, actor.tenant, id, user, put.role).await?;
        let message = format!("{} gave {} a role on the cluster", actor.email, member.email);
        event_log::append(&mut tx, actor.tenant, Some(id), "grant_put", &message).await?;
        let shown = |role| of(user, &member.email, role);
        let change = audit::Change::replaced(had.map(shown), Some(shown(put.role)));
        attempt.done(&mut tx, actor, change).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(GrantView {
            user,
            email: member.email,
            role: put.role,
        })
    }

    /// # Errors
    /// [`AppError::NotFound`] for the cluster or the grant, [`AppError::Forbidden`].
    pub async fn remove_grant(&self, actor: &Actor, id: ClusterId, user: UserId) -> Result<(), AppError> {
        let attempt = attempt("grant.remove").on(Target::new("cluster", id, None));
        let mut tx = self.store().begin().await?;
        let (cluster, _) = access::cluster(&mut tx, actor, id, ClusterAction::Change).await?;
        let attempt = attempt.on(Target::cluster(id, &cluster.name));
        let had = standings::find(&mut tx, actor.tenant, user, id)
            .await?
            .and_then(|standing| standing.granted);
        let member = people::find_member(&mut tx, actor.tenant, user).await?;
        let removed = grants::delete(&mut tx, actor.tenant, id, user).await;
        removed.map_err(|error| match error {
            StoreError::Missing { .. } => AppError::NotFound(Resource::Grant),
            other => AppError::Store(other),
        })?;
        let message = format!("{} took a role on the cluster away", actor.email);
        event_log::append(&mut tx, actor.tenant, Some(id), "grant_removed", &message).await?;
        let email = member.map(|member| member.email).unwrap_or_default();
        let change = audit::Change::replaced(had.map(|role| of(user, &email, role)), None);
        attempt.done(&mut tx, actor, change).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

fn of(user: UserId, email: &str, role: ClusterRole) -> Value {
    json!({"person": user, "email": email, "role": role})
}

fn grant(record: GrantRecord) -> GrantView {
    GrantView {
        user: record.user,
        email: record.email,
        role: record.role,
    }
}
