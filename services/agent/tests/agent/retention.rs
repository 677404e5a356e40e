//! Logs grow old in real object stores; and a tenant's own bucket is shipped to as the outbound policy says.

use std::time::Duration;

use chrono::{DateTime, Utc};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use updraft_agent::logs::LogBucket;
use updraft_logs::remove_old;
use updraft_model::AgentPhase;

use crate::support::shipping::{Shipping, append};
use crate::support::storage::{Storage, client};

const FILE: &str = "20261101T000000000Z-00001a2b.worker-1-d41f6c1a09b2";
const WORKER: &str = "services/worker";
const ENDED: &str = "tasks/dag_id=a/run_id=r1/task_id=t/attempt=1.log";
const RUNNING: &str = "tasks/dag_id=a/run_id=r2/task_id=t/attempt=1.log";

/// A bucket in which time passes, and one that several clusters share.
struct Aging {
    storage: Storage,
}

// === impl Aging ===

impl Aging {
    async fn put(&self, prefix: &str, source: &str, offset: u64) {
        let key = format!("{prefix}{source}/{FILE}/{offset:020}.log.gz");
        self.write(&key).await;
    }

    async fn write(&self, key: &str) {
        let store = client(&self.storage.endpoint());
        store
            .put(&Path::parse(key).unwrap(), "lines".into())
            .await
            .unwrap();
    }

    /// A time by the store's own clock that all that is there is older than: stores tell seconds, some of them.
    async fn moment(&self) -> DateTime<Utc> {
        let store = client(&self.storage.endpoint());
        let probe = Path::from("probe");
        let mut first = None;
        loop {
            store.put(&probe, "x".into()).await.unwrap();
            let now = store.head(&probe).await.unwrap().last_modified;
            if *first.get_or_insert(now) < now {
                store.delete(&probe).await.unwrap();
                return now;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn keys(&self) -> Vec<String> {
        let listing = self.storage.listing().await;
        listing
            .into_iter()
            .map(|(key, _)| key.replace(&format!("/{FILE}"), ""))
            .collect()
    }
}

async fn old_logs_go_and_what_is_written_stays(storage: Option<Storage>) {
    let Some(storage) = storage else { return };
    let bucket = Aging { storage };
    for offset in [0, 100, 200] {
        bucket.put("logs/", WORKER, offset).await;
        bucket.put("logs/", ENDED, offset).await;
        bucket.put("logs/", RUNNING, offset).await;
        bucket.put("a/cluster-2/logs/", WORKER, offset).await;
        bucket.put("a/cluster-22/logs/", ENDED, offset).await;
    }
    bucket.write("dags/a.py").await;
    bucket.write("logs/not-ours.txt").await;
    let before = bucket.moment().await;
    // The last segment grows; a task that began long ago still writes.
    bucket.put("logs/", WORKER, 200).await;
    bucket.put("logs/", RUNNING, 300).await;

    let store = client(&bucket.storage.endpoint());
    assert_eq!(remove_old(&store, "logs/", before).await.unwrap(), 5);
    let at = |prefix: &str, source: &str, offset: u64| format!("{prefix}{source}/{offset:020}.log.gz");
    let mut left = vec![
        "dags/a.py".to_owned(),
        "logs/not-ours.txt".to_owned(),
        at("logs/", WORKER, 200),
    ];
    left.extend([0, 100, 200, 300].map(|offset| at("logs/", RUNNING, offset)));
    left.extend([0, 100, 200].map(|offset| at("a/cluster-2/logs/", WORKER, offset)));
    left.extend([0, 100, 200].map(|offset| at("a/cluster-22/logs/", ENDED, offset)));
    left.sort();
    let mut keys = bucket.keys().await;
    keys.sort();
    assert_eq!(keys, left);

    // Clusters that share a bucket: one's prefix is the beginning of the other's number.
    assert_eq!(remove_old(&store, "a/cluster-2/logs/", before).await.unwrap(), 3);
    let others = bucket.keys().await;
    assert_eq!(
        others
            .iter()
            .filter(|key| key.starts_with("a/cluster-22/"))
            .count(),
        3
    );
    assert_eq!(
        remove_old(&store, "logs/", before).await.unwrap(),
        0,
        "once is enough"
    );
}

#[tokio::test]
async fn old_logs_go_from_seaweedfs_and_what_is_written_stays() {
    old_logs_go_and_what_is_written_stays(Storage::seaweed().await).await;
}

#[tokio::test]
async fn old_logs_go_from_moto_and_what_is_written_stays() {
    old_logs_go_and_what_is_written_stays(Storage::moto().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_own_bucket_is_shipped_to_below_its_prefix() {
    let Some(shipping) = Shipping::to(Storage::moto().await).await else {
        return;
    };
    let below = "airflow/0198f0f0/cluster-7/logs/";
    let mut delivery = shipping.road.delivery();
    delivery.foreign = true;
    delivery.prefix = below.to_owned();
    assert!(
        LogBucket::connect(&delivery).is_err(),
        "the installation opens no private address by itself"
    );
    delivery.outbound_allow = vec!["127.0.0.1".to_owned()];
    shipping
        .control
        .change(|assignment| assignment.logs = Some(delivery));
    let agent = shipping.node.spawn_agent();
    shipping.control.phase(AgentPhase::Running).await;
    append(&shipping.logs(), "worker.log", b"one line\n");
    let mut keys = Vec::new();
    while keys.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        keys = shipping.storage.listing().await;
    }
    assert!(keys.iter().all(|(key, _)| key.starts_with(below)), "{keys:?}");
    drop(agent);
}
