//! The accounts that nodes are in, as they are on record, for who asks there.

use std::collections::HashMap;

use async_trait::async_trait;
use updraft_model::{AwsAccountId, ClusterId, NodeAccount};
use updraft_provider::{AccountRecords, ProviderError, TenantAccount};
use updraft_store::{Store, StoreError, node_accounts};

/// Reads each time: an account that was changed or deleted a moment ago is what it is now.
pub struct KeptAccounts {
    pub store: Store,
}

#[async_trait]
impl AccountRecords for KeptAccounts {
    async fn accounts(&self) -> Result<Vec<AwsAccountId>, ProviderError> {
        let mut connection = self.store.connection().await.map_err(unclear)?;
        node_accounts::in_use(&mut connection).await.map_err(unclear)
    }

    async fn find(&self, account: AwsAccountId) -> Result<Option<TenantAccount>, ProviderError> {
        let mut connection = self.store.connection().await.map_err(unclear)?;
        let found = node_accounts::find(&mut connection, account).await;
        Ok(found.map_err(unclear)?.map(|record| TenantAccount {
            id: record.id,
            external_id: record.external_id,
            config: record.config,
            version: record.version,
        }))
    }

    async fn of_clusters(
        &self,
        clusters: &[ClusterId],
    ) -> Result<HashMap<ClusterId, NodeAccount>, ProviderError> {
        let mut connection = self.store.connection().await.map_err(unclear)?;
        let found = node_accounts::of_clusters(&mut connection, clusters).await;
        Ok(found.map_err(unclear)?.into_iter().collect())
    }
}

fn unclear(error: impl Into<StoreError>) -> ProviderError {
    let error: StoreError = error.into();
    tracing::warn!(error = ?error, "the record of accounts cannot be read");
    ProviderError::Unclear("control's database does not say in which account it is".to_owned())
}
