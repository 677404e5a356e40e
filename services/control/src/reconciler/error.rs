//! What ends a look before its time. The next one begins anew.

use thiserror::Error;
use updraft_provider::ProviderError;
use updraft_store::StoreError;
use updraft_store::secrets::SecretError;

#[derive(Debug, Error)]
pub enum ReconcileError {
    #[error("the database did not do what was asked")]
    Store(#[from] StoreError),
    #[error("a secret could not be read or written")]
    Secret(#[from] SecretError),
    #[error("it is not known in which accounts nodes are")]
    Accounts(#[source] ProviderError),
    #[error("a record could not be read: {what}")]
    Corrupt { what: String },
}

// === impl ReconcileError ===

impl ReconcileError {
    /// Whether another driver has the cluster by now: nothing is wrong.
    #[must_use]
    pub fn is_lost_lease(&self) -> bool {
        matches!(self, Self::Store(StoreError::Missing { what: "lease" }))
    }
}
