//! Buckets in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::sync::Mutex;

use async_trait::async_trait;
use updraft_app::PushBucket;
use updraft_model::ClusterId;
use updraft_provider::StorageAccess;
use updraft_store::secrets;

use crate::support::World;

/// Objects by `bucket/key`.
#[derive(Default)]
pub(crate) struct FakeBucket(Mutex<BTreeMap<String, Vec<u8>>>);

// === impl FakeBucket ===

impl FakeBucket {
    pub(crate) fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        self.0.lock().unwrap()[key].clone()
    }
}

#[async_trait]
impl PushBucket for FakeBucket {
    async fn put_file(&self, access: &StorageAccess, key: &str, mut file: File) -> Result<(), String> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        self.put(access, key, bytes).await
    }

    async fn put(&self, access: &StorageAccess, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        self.0
            .lock()
            .unwrap()
            .insert(format!("{}/{key}", access.bucket), bytes);
        Ok(())
    }
}

/// As if the cluster had been started once.
pub(crate) async fn give_storage(world: &World, cluster: ClusterId) {
    let storage = StorageAccess {
        endpoint: "http://127.0.0.1:1".into(),
        region: "us-east-1".into(),
        bucket: format!("b{cluster}"),
        access_key: "key".into(),
        secret_key: "secret".into(),
        session_token: None,
    };
    let text = serde_json::to_string(&storage).unwrap().into();
    let mut tx = world.tx().await;
    secrets::put(&mut tx, &world.app.config().master_key, cluster, "storage", &text)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}
