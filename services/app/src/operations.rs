//! Operations as people follow them.

use updraft_api::rest::{OperationView, Page};
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, OperationId};
use updraft_store::operations;

use crate::error::{AppError, Resource};
use crate::page::page;
use crate::{App, PageRequest, access, view};

impl App {
    /// The cluster's operations, newest first.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_operations(
        &self,
        actor: &Actor,
        id: ClusterId,
        request: PageRequest,
    ) -> Result<Page<OperationView>, AppError> {
        let mut connection = self.store().connection().await?;
        access::cluster(&mut connection, actor, id, ClusterAction::View).await?;
        let (limit, before) = (request.limit()?, request.position::<OperationId>()?);
        let records = operations::list(&mut connection, actor.tenant, id, before, limit + 1).await?;
        Ok(page(
            records,
            limit,
            |record| record.id.to_string(),
            view::operation,
        ))
    }

    /// One operation, also of a cluster that has been deleted by it.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn show_operation(&self, actor: &Actor, id: OperationId) -> Result<OperationView, AppError> {
        let mut connection = self.store().connection().await?;
        let record = operations::find(&mut connection, actor.tenant, id)
            .await?
            .ok_or(AppError::NotFound(Resource::Operation))?;
        access::past_cluster(&mut connection, actor, record.cluster, ClusterAction::View)
            .await
            .map_err(|error| match error {
                AppError::NotFound(_) => AppError::NotFound(Resource::Operation),
                other => other,
            })?;
        Ok(view::operation(record))
    }
}
