//! Environments that clusters of one tenant take from each other, packed, out of the bucket of whoever has them.
//!
//! What a node says is not believed beyond its own cluster: it may name only what that cluster asks for, what it says it
//! built is given to clusters of its own tenant alone, and the first archive of a name stays the tenant's. What a node takes
//! is named by control, digest and all; it gets an address for that one object, and no keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use updraft_api::agent::{BuildReport, EnvironmentOffer, KeptReport, environment_key};
use updraft_model::{EnvironmentSpec, NodeId, NodeRole};
use updraft_provider::StorageAccess;
use updraft_store::assignments::{self, AssignmentRows};
use updraft_store::environment_copies::{self, EnvironmentCopy, Holder};
use updraft_store::node_identity::NodeIdentity;
use updraft_store::{PgConnection, StoreError, secrets};

use crate::assignments::{Desk, DeskError};
use crate::reconciler::secret;

/// The way to clusters' buckets.
#[async_trait]
pub trait EnvironmentBuckets: Send + Sync {
    /// An address of exactly this object, good for reading it for some minutes; none when there is no such object of
    /// that size.
    ///
    /// # Errors
    /// In words for the log, when the bucket can't be asked.
    async fn offer(
        &self,
        access: &StorageAccess,
        key: &str,
        bytes: u64,
    ) -> Result<Option<SecretString>, String>;
}

/// Who holds what, and who may take it.
pub struct Environments {
    desk: Arc<Desk>,
    buckets: Arc<dyn EnvironmentBuckets>,
    /// What each node said last, as it was written down.
    taken_in: Mutex<HashMap<NodeId, (String, KeptReport)>>,
}

// === impl Environments ===

impl Environments {
    #[must_use]
    pub fn new(desk: Arc<Desk>, buckets: Arc<dyn EnvironmentBuckets>) -> Self {
        Self {
            desk,
            buckets,
            taken_in: Mutex::default(),
        }
    }

    /// Writes down what a building node put into its cluster's bucket.
    pub(crate) async fn take_in(&self, node: &NodeIdentity, build: &BuildReport) -> Result<(), DeskError> {
        let Some(kept) = build.kept.as_ref().filter(|_| node.role == NodeRole::Scheduler) else {
            return Ok(());
        };
        let said = (build.digest.clone(), kept.clone());
        if self.known().get(&node.node) == Some(&said) || !is_sha256(&kept.sha256) || kept.bytes == 0 {
            return Ok(());
        }
        let mut transaction = self.desk.store.begin().await?;
        let Some(rows) = assignments::rows(&mut transaction, node.node).await? else {
            return Ok(());
        };
        // What the cluster does not ask for is none of its nodes' business.
        let Some(spec) = self.named(node, &rows, &build.digest) else {
            return Ok(());
        };
        let copy = EnvironmentCopy {
            digest: build.digest.clone(),
            sha256: kept.sha256.clone(),
            bytes: kept.bytes,
            shared: kept.apart && !spec.own_builds,
            index_credential: credential(&spec),
        };
        let shared = environment_copies::record(&mut transaction, rows.tenant, node.cluster, &copy).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        tracing::info!(cluster.id = %node.cluster, environment = copy.digest, shared, "An environment is kept");
        self.known().insert(node.node, said);
        Ok(())
    }

    /// What a node may take instead of building it: its cluster's own first.
    pub(crate) async fn offer(
        &self,
        node: &NodeIdentity,
        digest: &str,
    ) -> Result<Option<EnvironmentOffer>, DeskError> {
        let mut connection = self.desk.store.connection().await?;
        let Some(rows) = assignments::rows(&mut connection, node.node).await? else {
            return Ok(None);
        };
        let Some(spec) = self.named(node, &rows, digest) else {
            return Ok(None);
        };
        let holders = environment_copies::holders(&mut connection, rows.tenant, node.cluster, digest).await?;
        for holder in holders.iter().filter(|holder| may_take(node, &spec, holder)) {
            match self.ask(&mut connection, holder).await? {
                Some(Ok(offer)) => return Ok(Some(offer)),
                Some(Err(Gone)) => {
                    // Somebody else may have noticed too.
                    let _ = environment_copies::forget(&mut connection, rows.tenant, holder).await;
                    self.known().retain(|_, (said, _)| said != digest);
                }
                None => {}
            }
        }
        Ok(None)
    }

    /// None: nobody knows for now.
    async fn ask(
        &self,
        connection: &mut PgConnection,
        holder: &Holder,
    ) -> Result<Option<Result<EnvironmentOffer, Gone>>, DeskError> {
        let kept = secrets::get(connection, &self.desk.master_key, holder.cluster, secret::STORAGE).await?;
        let Some(kept) = kept else {
            return Ok(Some(Err(Gone)));
        };
        let access: StorageAccess = serde_json::from_str(kept.expose_secret()).map_err(DeskError::Storage)?;
        let copy = &holder.copy;
        let key = environment_key(&copy.digest, &copy.sha256);
        match self.buckets.offer(&access, &key, copy.bytes).await {
            Ok(Some(url)) => Ok(Some(Ok(EnvironmentOffer {
                url,
                sha256: copy.sha256.clone(),
                bytes: copy.bytes,
                shared: copy.shared,
            }))),
            Ok(None) => Ok(Some(Err(Gone))),
            Err(why) => {
                tracing::warn!(cluster.id = %holder.cluster, why, "a bucket's environments cannot be asked for");
                Ok(None)
            }
        }
    }

    fn named(&self, node: &NodeIdentity, rows: &AssignmentRows, digest: &str) -> Option<EnvironmentSpec> {
        let all = self.desk.environments_of(node.cluster, rows);
        let (_, spec) = all.into_iter().find(|(name, _)| name == digest)?;
        Some(spec.clone())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, (String, KeptReport)>> {
        self.taken_in.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was recorded is not there any more.
struct Gone;

/// Another's only where the tenant lets it, and where the package index was shown the same.
fn may_take(node: &NodeIdentity, spec: &EnvironmentSpec, holder: &Holder) -> bool {
    let is_own = holder.cluster == node.cluster;
    is_own || (holder.copy.shared && !spec.own_builds && holder.copy.index_credential == credential(spec))
}

fn credential(spec: &EnvironmentSpec) -> Option<String> {
    let index = spec.package_index.as_ref()?;
    index.credential.as_ref().map(ToString::to_string)
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
