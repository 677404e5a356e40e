//! Roles on single clusters: cluster admins give and take them.

use updraft_api::rest::{GrantView, Page, PutGrant};
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, UserId};
use updraft_store::grants::{self, GrantRecord};
use updraft_store::{StoreError, event_log, people};

use crate::error::{AppError, Resource};
use crate::page::page;
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
        let (limit, after) = (request.limit()?, request.position::<String>()?);
        let records = grants::list(&mut connection, actor.tenant, id, after.as_deref(), limit + 1).await?;
        Ok(page(records, limit, |record| record.email.clone(), grant))
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
        let mut tx = self.store().begin().await?;
        access::cluster(&mut tx, actor, id, ClusterAction::Change).await?;
        let member = people::find_member(&mut tx, actor.tenant, user)
            .await?
            .ok_or(AppError::NotFound(Resource::Person))?;
        grants::put(&mut tx, actor.tenant, id, user, put.role).await?;
        let message = format!("{} gave {} a role on the cluster", actor.email, member.email);
        event_log::append(&mut tx, actor.tenant, Some(id), "grant_put", &message).await?;
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
        let mut tx = self.store().begin().await?;
        access::cluster(&mut tx, actor, id, ClusterAction::Change).await?;
        let removed = grants::delete(&mut tx, actor.tenant, id, user).await;
        removed.map_err(|error| match error {
            StoreError::Missing { .. } => AppError::NotFound(Resource::Grant),
            other => AppError::Store(other),
        })?;
        let message = format!("{} took a role on the cluster away", actor.email);
        event_log::append(&mut tx, actor.tenant, Some(id), "grant_removed", &message).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

fn grant(record: GrantRecord) -> GrantView {
    GrantView {
        user: record.user,
        email: record.email,
        role: record.role,
    }
}
