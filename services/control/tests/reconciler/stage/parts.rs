//! Storage in memory, and assignments that are numbers alone.

use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use secrecy::SecretString;
use sqlx::Row as _;
use updraft_control::reconciler::{Assignments, AssignmentsError};
use updraft_model::ClusterId;
use updraft_provider::{ClusterStorage, ProviderError, StorageAccess};
use updraft_store::{Store, node_identity, nodes};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Buckets(Mutex<HashSet<ClusterId>>);

/// Numbers assignments by what they would be made of.
pub(super) struct Numbers {
    store: Store,
    template: String,
}

impl Buckets {
    pub(crate) fn has(&self, cluster: ClusterId) -> bool {
        self.0.lock().unwrap().contains(&cluster)
    }
}

#[async_trait]
impl ClusterStorage for Buckets {
    async fn ensure(&self, cluster: ClusterId) -> Result<StorageAccess, ProviderError> {
        self.0.lock().unwrap().insert(cluster);
        Ok(StorageAccess {
            endpoint: "http://127.0.0.1:1".to_owned(),
            region: "us-east-1".to_owned(),
            bucket: format!("cluster-{cluster}"),
            access_key: "key".to_owned(),
            secret_key: SecretString::from("secret"),
            session_token: None,
        })
    }

    async fn remove(&self, cluster: ClusterId) -> Result<(), ProviderError> {
        self.0.lock().unwrap().remove(&cluster);
        Ok(())
    }
}

impl Numbers {
    pub(super) fn new(store: Store, template: String) -> Self {
        Self { store, template }
    }
}

#[async_trait]
impl Assignments for Numbers {
    fn forget(&self, _: ClusterId) {}

    async fn refresh(&self, cluster: ClusterId) -> Result<(), AssignmentsError> {
        let mut tx = self.store.begin().await.unwrap();
        let state =
            sqlx::query("select generation, restart_nonce from clusters where id = $1").bind(cluster.0);
        let state = state.fetch_one(&mut *tx).await.unwrap();
        for node in nodes::live(&mut tx, cluster).await.unwrap() {
            let made_of = (
                state.get::<i64, _>(0),
                state.get::<i64, _>(1),
                node.stop_asked_at.is_some(),
            );
            node_identity::assignment_version(&mut tx, node.id, format!("{made_of:?}").as_bytes())
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        Ok(())
    }

    fn template_of(&self, _runtime: &str) -> String {
        self.template.clone()
    }

    fn new_authority(&self, _cluster: ClusterId) -> Result<(String, SecretString), AssignmentsError> {
        let fresh = || Uuid::now_v7().to_string();
        Ok((fresh(), fresh().into()))
    }
}
